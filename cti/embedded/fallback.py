"""Puts the fallback script, the modules it needs, its settings and its spoken text into a home."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
from pathlib import Path

from cti.config import PROJECT, Config
from cti.embedded.account import Account
from cti.embedded.render import write_atomic
from cti.errors import Unavailable

LONGEST = 120  # seconds of message
SORRY = {
    "en": ("en", "We are sorry, our system is not available. Please leave a message after the tone."),
    "zh": ("cmn-latn-pinyin", "很抱歉，系统暂时无法接通，请在提示音后留言。"),
    "id": ("id", "Mohon maaf, sistem kami sedang terganggu. Silakan tinggalkan pesan setelah nada."),
}


def prepare(target: Path, config: Config) -> None:
    """Everything the account of Asterisk needs to run the script, in `target`, which stays ours. Raises Unavailable."""
    (target / "asterisk").mkdir(parents=True, exist_ok=True)
    (target / "asterisk/__init__.py").touch()
    for name, file in (("asterisk.agi", "asterisk/agi.py"), ("six", "six.py")):
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:
            raise Unavailable(f"the Python module {name} is missing: run `make setup`")
        shutil.copyfile(found.origin, target / file)
    shutil.copyfile(PROJECT / "asterisk-conf/fallback.py", target / "fallback.py")
    (target / "fallback.py").chmod(0o755)
    spoken = [speak(target, language) for language in config.site.languages if language in SORRY]
    settings = {
        "voicemail": str((config.paths.home / "voicemail").resolve()),
        "sounds": [str(file.with_suffix("")) for file in spoken if file is not None],
        "seconds": LONGEST,
    }
    us = Account("", os.geteuid(), os.getegid(), drop=False)
    write_atomic(target / "fallback.json", json.dumps(settings), us, secret=False)


def speak(target: Path, language: str) -> Path | None:
    """The apology as 8 kHz wav, made once; None without espeak-ng or sox (`cti doctor` says so)."""
    voice, text = SORRY[language]
    file = target / f"sorry-{voice}.wav"
    raw = target / f".sorry-{voice}.wav"
    if file.exists():
        return file
    try:
        subprocess.run(["espeak-ng", "-v", voice, "-s", "150", "-w", str(raw), text], check=True, capture_output=True)
        subprocess.run(
            ["sox", str(raw), "-r", "8000", "-c", "1", "-b", "16", str(file)], check=True, capture_output=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    finally:
        raw.unlink(missing_ok=True)
    file.chmod(0o644)
    return file
