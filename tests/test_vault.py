"""Digits in the vault: their form is told, they themselves only to who asks by name, and not for long."""

from __future__ import annotations

import copy
import logging
import pickle

import pytest

from cti.core.messages import Sealed
from cti.vault import LONGEST, Vault

CARD = "4111111111111111"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def vault(clock: Clock) -> Vault:
    return Vault(clock)


@pytest.mark.parametrize(("name", "digits", "good"), [
    ("card", CARD, True),
    ("card", "378282246310005", True),
    ("card", "4111111111111112", False),
    ("card", "000000000000", True),
    ("card", "00000000000", False),
    ("card", "0" * 19, True),
    ("card", "0" * 20, False),
    ("card", "4111*11111111111", False),
    ("card", "", False),
    ("expiry", "0127", True),
    ("expiry", "1227", True),
    ("expiry", "0027", False),
    ("expiry", "1327", False),
    ("expiry", "127", False),
    ("expiry", "*127", False),
    ("code", "123", True),
    ("code", "1234", True),
    ("code", "12", False),
    ("code", "12345", False),
    ("code", "12A", False),
    ("pin", "", True),
    ("pin", "12*#", True),
])  # fmt: skip
def test_the_form_is_told(vault: Vault, name: str, digits: str, good: bool) -> None:
    last4 = digits[-4:] if good and name == "card" else ""
    assert vault.put("u.1", name, digits, 1000) == Sealed(length=len(digits), good=good, last4=last4)
    assert vault.get("u.1", name) == digits


def test_each_call_and_name_has_its_own(vault: Vault) -> None:
    vault.put("u.1", "card", CARD, 1000)
    vault.put("u.1", "code", "123", 1000)
    vault.put("u.2", "code", "456", 1000)
    vault.put("u.2", "code", "789", 1001)
    assert (vault.get("u.1", "code"), vault.get("u.2", "code"), vault.get("u.2", "card")) == ("123", "789", None)
    vault.forget("u.1")
    assert (vault.get("u.1", "card"), vault.get("u.1", "code"), vault.get("u.2", "code")) == (None, None, "789")
    vault.forget("nobody")


def test_what_is_old_goes(vault: Vault, clock: Clock) -> None:
    vault.put("u.1", "card", CARD, clock.now)
    clock.now += LONGEST - 1
    vault.put("u.1", "code", "123", clock.now)
    assert vault.get("u.1", "card") == CARD
    clock.now += 2
    assert (vault.get("u.1", "card"), vault.get("u.1", "code")) == (None, "123")
    clock.now += LONGEST
    vault.forget("another")
    assert vault._kept == {}


def test_it_shows_nothing(vault: Vault, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    sealed = vault.put("u.1", "card", CARD, 1000)
    vault.get("u.1", "card")
    assert CARD not in f"{vault!r} {vault} {sealed!r}"
    assert caplog.records == []
    with pytest.raises(TypeError):
        pickle.dumps(vault)
    with pytest.raises(TypeError):
        copy.deepcopy(vault)
    with pytest.raises(TypeError):
        vars(vault)
