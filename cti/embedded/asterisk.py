"""Find an Asterisk, prepare its folder in a home, run commands on its control socket."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from cti.config import Config
from cti.embedded import fallback, music, setup
from cti.embedded.account import Account, acting_as
from cti.embedded.render import Tree, agi_dir, etc_dir, write_all
from cti.errors import BadInput, Unavailable

OLDEST = 20


@dataclass(frozen=True)
class Found:
    """`argv`: how to start the binary; `tree`: where its own files are."""

    argv: tuple[str, ...]
    tree: Tree


def find(config: Config) -> Found:
    """The configured binary or tree, else the fetched one. Raises Unavailable when there is none."""
    if config.asterisk.binary:
        return _system(Path(config.asterisk.binary))
    root = Path(config.asterisk.root) if config.asterisk.root else setup.cached_asterisk()
    if root is None:
        raise Unavailable("no Asterisk: run `make setup`, or name yours: [asterisk] binary in cti.toml")
    return _extracted(root)


def _extracted(root: Path) -> Found:
    binary = root / "usr/sbin/asterisk"
    libraries = sorted((root / "usr/lib").glob("*-linux-gnu*"))
    loaders = [p for folder in libraries for p in folder.glob("ld-linux*.so*")]
    if not binary.is_file() or not loaders:
        raise Unavailable(f"{root} holds no extracted Asterisk: run `make setup`")
    path = ":".join(str(p) for folder in libraries for p in (folder, root / "lib" / folder.name) if p.is_dir())
    argv = (str(loaders[0]), "--library-path", path, str(binary))
    data = root / "usr/share/asterisk"
    tree = Tree(
        modules=libraries[0] / "asterisk/modules",
        data=data,
        sounds=_first([*sorted((data / "sounds").glob("en_US_*")), data / "sounds/en"]),
        music=_first([data / "moh", root / "var/lib/asterisk/moh"]),
        version=_version(argv),
    )
    return Found(argv, tree)


def _system(binary: Path) -> Found:
    resolved = shutil.which(str(binary))
    if resolved is None:
        raise Unavailable(f"[asterisk] binary {binary}: no such program")
    modules = [*Path("/usr/lib").glob("*/asterisk/modules"), *Path("/usr").glob("lib*/asterisk/modules")]
    datas = [Path("/usr/share/asterisk"), Path("/var/lib/asterisk"), Path("/usr/local/var/lib/asterisk")]
    sounds = [d / "sounds" / name for d in datas for name in ("en", "en_US_f_Allison")]
    argv = (resolved,)
    tree = Tree(
        modules=_first(modules),
        data=_first([d for d in datas if (d / "documentation").is_dir()] or datas),
        sounds=_first(sounds),
        music=_first([d / "moh" for d in datas]),
        version=_version(argv),
    )
    return Found(argv, tree)


def _first(paths: list[Path]) -> Path:
    """The first real folder, its links followed; else the last one, which `cti doctor` then names."""
    real = [p.resolve() for p in paths if p.is_dir()]
    return real[0] if real else paths[-1] if paths else Path("/nonexistent")


def _version(argv: tuple[str, ...]) -> tuple[int, ...]:
    try:
        out = subprocess.run([*argv, "-V"], capture_output=True, text=True, timeout=20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Unavailable(f"{argv[-1]} does not run: {e}") from e
    match = re.search(r"Asterisk (?:certified/)?(\d+)\.(\d+)(?:\.(\d+))?", out)
    version = tuple(int(n or 0) for n in match.groups()) if match else (0,)
    if version[0] < OLDEST:
        raise Unavailable(f"{argv[-1]}: {out.strip() or 'unknown version'}; Asterisk {OLDEST} or newer is needed")
    return version


def prepare(config: Config, found: Found, account: Account) -> None:
    """Render the files, make its folders and links. Before every start: the system name changes.

    All but the scripts is the account's own, so it is written with the account's rights."""
    var = etc_dir(config).parent
    with acting_as(account):
        for name in ("keys", "sounds", "spool"):
            (var / name).mkdir(exist_ok=True)
        _relink(var / "sounds/en", found.tree.sounds)
        _relink(var / "documentation", found.tree.data / "documentation")
        _relink(var / "rest-api", found.tree.data / "rest-api")
    fallback.prepare(agi_dir(config), config)
    write_all(config, found.tree, account, music.prepare(config, var / "music", account))


def _relink(link: Path, target: Path) -> None:
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def start_argv(config: Config, found: Found) -> list[str]:
    return [*found.argv, "-C", str(etc_dir(config) / "asterisk.conf"), "-f"]


def system_name(config: Config) -> str:
    """The random name of the running Asterisk, in every AMI event (`SystemName`). New at every start."""
    try:
        return (config.asterisk.config_dir / "systemname").read_text().strip()
    except OSError as e:
        raise Unavailable(f"cannot read the system name of Asterisk: {e}") from e


async def reload_pjsip(config: Config) -> None:
    """Make the stations' file count; running calls feel nothing. Raises Unavailable."""
    await control(config, "module reload res_pjsip.so")


async def control(config: Config, command: str, seconds: float = 10.0) -> str:
    """Run one fixed command on the control socket and return what it prints. Raises Unavailable.

    `command` comes from our code, never from outside.
    """
    if not re.fullmatch(r"[\w ./-]+", command):
        raise BadInput("a control command is a plain line")
    found = await asyncio.to_thread(find, config)
    argv = [*start_argv(config, found)[:-1], "-rx", command]
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(seconds):
            out, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise Unavailable(f"Asterisk did not answer `{command}` in {seconds:g} s") from None
    text = out.decode(errors="replace")
    if process.returncode != 0 or "Unable to connect" in text:
        raise Unavailable(f"Asterisk's control socket: {text.strip()[:200]}")
    return text
