"""Passwords (argon2id) and tokens: what is stored never shows what was given."""

from __future__ import annotations

import hashlib
import secrets

import argon2

from cti.errors import BadInput

SHORTEST, LONGEST = 8, 256


def hash_password(password: str) -> str:
    """argon2id. Takes about 50 ms: not in an event loop. Raises BadInput for what cannot be a password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"a password has {SHORTEST} to {LONGEST} characters", "bad_password")
    try:
        return argon2.PasswordHasher().hash(password)
    except UnicodeEncodeError:
        raise BadInput("the password is not valid UTF-8", "bad_password") from None


def new_token() -> tuple[str, bytes]:
    """A new API token and the sha256 that is stored of it."""
    token = secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).digest()


def new_secret() -> str:
    """A new SIP secret: 24 letters and digits."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(letters) for _ in range(24))
