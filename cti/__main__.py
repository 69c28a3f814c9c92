"""`cti VERB`: every verb lives in `cti/cli/<noun>.py`, whose `register(sub)` sets `func(args) -> int`.

Exit codes: 0 ok, 1 failure, 2 usage or bad input, 3 a needed service cannot be reached.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
from collections.abc import Sequence

from cti.errors import BadInput, CtiError, Unavailable

NOUNS = (
    "up", "serve", "doctor", "status", "config", "db", "user", "station", "agent", "customer", "queue", "calendar",
    "callback", "acd", "flow", "call", "recording", "demo",
)  # fmt: skip


def parser(first: str = "") -> argparse.ArgumentParser:
    """With all verbs; when `first` names a module, only that one is imported, which is faster."""
    top = argparse.ArgumentParser(prog="cti", description="Telephony-first CTI server.")
    verbs = top.add_subparsers(metavar="VERB", required=True)
    wanted = first.split("-")[0]
    for noun in [wanted] if wanted in NOUNS else NOUNS:
        if importlib.util.find_spec(f"cti.cli.{noun}") is not None:
            importlib.import_module(f"cti.cli.{noun}").register(verbs)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser(words[0] if words else "").parse_args(words)
    try:
        return int(args.func(args) or 0)
    except CtiError as e:
        print(f"cti: {e}", file=sys.stderr)
        return _code(e)
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except OSError as e:  # the machine's fault, not ours: a disk that is full, a folder that may not be written
        print(f"cti: {f'{e.filename}: ' if e.filename else ''}{e.strerror or e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _code(error: CtiError) -> int:
    if isinstance(error, BadInput):
        return 2
    return 3 if isinstance(error, Unavailable) else 1


if __name__ == "__main__":
    sys.exit(main())
