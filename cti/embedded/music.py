"""Music for waiting callers: each folder `music/CLASS/` of the flows folder becomes a class that a queue may name.

Its WAV files, of any rate, are brought into Asterisk's own shape, by content, so that a start with nothing new makes
nothing. Whatever is wrong with one leaves it out, with a line in the log; a class without any is none, and the default
music plays.
"""

from __future__ import annotations

import hashlib
import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

from cti.adapters.tts import PLAIN
from cti.config import NAME, Config
from cti.embedded.account import Account, acting_as
from cti.plain import read_plain, why

log = logging.getLogger(__name__)

MOST = 200 * 1024 * 1024  # bytes of one file
TIMEOUT = 60.0  # s for one file
BUILT_IN = "default"


def prepare(config: Config, target: Path, account: Account) -> list[tuple[str, Path]]:
    """Make the files below `target`, with the account's rights. Returns (class, its folder)."""
    classes = []
    for name in _classes(config.paths.flows):
        made = set(_files(config.paths.flows, name, target / name, account))
        if made:
            _tidy(target / name, made, account)
            classes.append((name, target / name))
        else:
            log.warning("music/%s has nothing to play: its callers hear the default music", name)
    return classes


def _classes(flows: Path) -> list[str]:
    folder = flows / "music"
    names = sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    for name in (name for name in names if not NAME.fullmatch(name) or name == BUILT_IN):
        log.warning("music/%s: a class of music cannot be called so", name)
    return [name for name in names if NAME.fullmatch(name) and name != BUILT_IN]


def _files(flows: Path, name: str, target: Path, account: Account) -> Iterator[str]:
    for file in sorted((flows / "music" / name).glob("*.wav")):
        try:
            yield _made(flows, f"music/{name}/{file.name}", target, account)
        except OSError as error:
            log.warning("music/%s/%s %s", name, file.name, why(error))
        except (ValueError, subprocess.SubprocessError) as error:
            log.warning("music/%s/%s: %s", name, file.name, error)


def _made(flows: Path, file: str, target: Path, account: Account) -> str:
    """The name of the file made of it."""
    content = read_plain(flows, file, MOST)
    if content is None:
        raise ValueError(f"larger than {MOST // 1024 // 1024} MiB")
    out = target / f"{hashlib.sha256(content).hexdigest()[:32]}.sln"
    if not out.exists():
        argv = ["sox", "-t", "wav", "-", *PLAIN, "-t", "raw", "-", "gain", "-h"]
        done = subprocess.run(argv, input=content, capture_output=True, timeout=TIMEOUT, check=False)
        if done.returncode or not done.stdout:
            raise ValueError(f"sox cannot read it: {done.stderr.decode(errors='replace').strip()[:200]}")
        with acting_as(account):
            target.mkdir(parents=True, exist_ok=True)
            draft = target / f".{out.name}"
            draft.write_bytes(done.stdout)
            draft.replace(out)
    return out.name


def _tidy(folder: Path, made: set[str], account: Account) -> None:
    """What was removed from the folder is heard no more."""
    with acting_as(account):
        for old in folder.iterdir():
            if old.name not in made:
                old.unlink()
