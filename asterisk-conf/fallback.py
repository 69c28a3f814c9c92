#!/usr/bin/python3
"""Run by Asterisk itself when no daemon has answered for long: says sorry, takes a message.

Stands alone: it is copied into the home with the two modules it needs, and reads `fallback.json` beside it:
{"voicemail": folder, "sounds": [files without ending], "seconds": longest message}.
Each message is VOICEMAIL/<id>.wav and, written last, <id>.json: {"file", "uniqueid", "caller", "called",
"at", "seconds"}; `at`: seconds since 1970, when the recording began; null where unknown. The server reads them in.
"""

import contextlib
import json
import os
import re
import secrets
import sys
import time
from pathlib import Path

from asterisk.agi import AGI, AGIException

HERE = Path(__file__).resolve().parent
FORMS = {"uniqueid": r"[A-Za-z0-9_.-]{1,150}", "caller": r"\+?[0-9]{1,20}", "called": r"\+?[0-9]{1,20}"}
VARIABLES = {"uniqueid": "${UNIQUEID}", "caller": "${CALLERID(num)}", "called": "${CTI_CALLED}"}


def main() -> None:
    settings = json.loads((HERE / "fallback.json").read_text())
    with Path(os.devnull).open("w") as nowhere:
        agi = AGI(stderr=nowhere)  # pyst2 prints all it says and hears, digits too
        known = {name: asked(agi, name) for name in VARIABLES}
        path = Path(settings["voicemail"]) / f"{int(time.time())}-{secrets.token_hex(6)}"
        try:
            for sound in settings["sounds"]:
                agi.execute("STREAM FILE", f'"{sound}"', '"#"')
        except AGIException:
            return  # left before the beep
        at = time.time()
        with contextlib.suppress(AGIException):  # hanging up is how most messages end
            agi.execute("RECORD FILE", f'"{path}"', "wav", '"#"', settings["seconds"] * 1000, "BEEP", "s=10")
        keep(path, {**known, "at": at, "seconds": round(time.time() - at, 1)})


def asked(agi: AGI, name: str) -> "str | None":
    """A fact as Asterisk knows it: the environment lines can be forged by a caller's name."""
    try:
        result = agi.execute("GET FULL VARIABLE", f'"{VARIABLES[name]}"')["result"][1]
    except (AGIException, KeyError):
        return None
    return result if re.fullmatch(FORMS[name], result) else None


def keep(path: Path, data: dict) -> None:
    """The .json says that the .wav is complete, so it comes last and at once; nothing unfinished bears such a name."""
    sound = path.with_name(path.name + ".wav")
    if not sound.exists():
        return
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(json.dumps({"file": sound.name, **data}))
    temporary.replace(path.with_name(path.name + ".json"))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:
        print(f"fallback: {error}", file=sys.stderr)
        sys.exit(1)
