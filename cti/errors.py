"""The error tree: whose fault it is decides the class.

    CtiError
    ├── Refused        a person asked for something impossible now (HTTP 409; `code` is stable)
    ├── BadInput       what a person wrote is wrong: where, what, what instead (HTTP 400, exit 2)
    └── Unavailable    a service we need cannot be reached (HTTP 503, exit 3)
"""

from __future__ import annotations


class CtiError(Exception):
    """`code` is stable and machine-readable, the message is for people; `about`: names in it, for translations."""

    code = "error"

    def __init__(self, message: str, code: str | None = None, **about: str) -> None:
        super().__init__(message)
        self.about = about
        if code is not None:
            self.code = code


class Refused(CtiError):
    code = "refused"


class BadInput(CtiError):
    code = "bad_input"


class Unavailable(CtiError):
    code = "unavailable"
