"""Passwords and PINs (argon2id) and tokens: what is stored never shows what was given."""

from __future__ import annotations

import hashlib
import re
import secrets

import argon2

from cti.errors import BadInput

SHORTEST, LONGEST = 8, 256
PIN = re.compile(r"[0-9]{4,20}")
# Of a text that nobody has.
NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$C8ci/X/8B25M1NR/Z6VkKQ$0s8blmGdij4iOah7qjBrAcwX1wePHducaU9ydE8o8Xg"


def hash_password(password: str) -> str:
    """argon2id. Takes about 50 ms: not in an event loop. Raises BadInput for what cannot be a password."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadInput(f"a password has {SHORTEST} to {LONGEST} characters", "bad_password")
    try:
        return argon2.PasswordHasher().hash(password)
    except UnicodeEncodeError:
        raise BadInput("the password is not valid UTF-8", "bad_password") from None


def hash_pin(pin: str) -> str:
    """argon2id, slow as `hash_password`. Raises BadInput."""
    if not PIN.fullmatch(pin):
        raise BadInput("a PIN has 4 to 20 digits", "bad_pin")
    return argon2.PasswordHasher().hash(pin)


def check_pin(pin_hash: str | None, pin: str) -> bool:
    """Whether it is this PIN; None: nobody's, which takes as long. Not in an event loop."""
    try:
        return argon2.PasswordHasher().verify(pin_hash or NOBODYS, pin) and pin_hash is not None
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def new_token() -> tuple[str, bytes]:
    """A new API token and the sha256 that is stored of it."""
    token = secrets.token_urlsafe(32)
    return token, hashlib.sha256(token.encode()).digest()


def new_secret() -> str:
    """A new SIP secret: 24 letters and digits."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
    return "".join(secrets.choice(letters) for _ in range(24))
