"""`make setup`: install what is missing. Standard library only: it runs before `.venv` exists.

Steps: system packages (apt, as root; else says which), the account `cti`, `.venv`, Asterisk as plain files in
a cache. Each done step leaves a stamp, so a second call only looks and needs no network. Nothing asks a
question, and no service of the distribution is started. Stopped or killed at any moment, the next call goes on from
there; of two calls at once the second waits.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import pwd
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
LOCK = PROJECT / "asterisk.lock"
STAMP = "cti-packages.json"
SHARED, OWN = Path("/var/cache/cti"), Path(os.path.expanduser("~/.cache/cti"))  # noqa: PTH111  (Path.home may raise)
ASTERISK = ("asterisk", "asterisk-core-sounds-en-gsm", "asterisk-moh-opsound-gsm")
# program or file that shows the package is there -> package
NEEDED = {
    "/usr/lib/postgresql/*/bin/postgres": "postgresql",
    "redis-server": "redis-server",
    "mmdebstrap": "mmdebstrap",
    "espeak-ng": "espeak-ng",
    "sox": "sox",
    "sipp": "sip-tester",
    "baresip": "baresip",
    "chromium": "chromium",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc": "fonts-noto-cjk",
    "/usr/lib/python3*/ensurepip/__init__.py": "python3-venv",
}
OLDEST = (3, 11)
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLICY, OURS = Path("/usr/sbin/policy-rc.d"), "# made by `make setup` of cti for as long as it runs"
NO_NETWORK = re.compile("name resolution|resolving|[Cc]ould not connect|NewConnectionError|unreachable|[Pp]roxy")


class SetupError(Exception):
    """One line: what is missing and how to fix it."""


def main() -> int:
    os.umask(0o022)  # the account that runs the parts must be able to read what is installed
    for number in STOPS:
        signal.signal(number, lambda got, _: sys.exit(128 + got))  # so that what is made for a while is removed
    try:
        with contextlib.ExitStack() as held:
            for folder in (PROJECT, SHARED) if os.geteuid() == 0 else (PROJECT,):
                held.enter_context(alone(folder))
            packages()
            account()
            virtual_environment()
            asterisk()
    except SetupError as e:
        print(f"setup: {e}", file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """One setup at a time: the lock is on the folder itself, so there is nothing to leave behind."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: another `make setup` is running; waiting for it ...", flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def step(text: str, argv: list[str], env: dict[str, str] | None = None) -> str:
    """Run a program, showing that it runs. Returns its output; raises SetupError with its last words."""
    print(f"setup: {text} ...", flush=True)
    began = time.monotonic()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # not heard between its start and our knowing of it
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, **(env or {})}, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, before),
    ) as process:  # fmt: skip
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            output, _ = process.communicate()
        except BaseException:
            process.terminate()  # not kill: apt finishes the package it is at, and is waited for
            raise
    if process.returncode != 0:
        raise SetupError(f"{text} failed: {last_words(output)}")
    if time.monotonic() - began > 2:
        print(f"setup: {text}: {time.monotonic() - began:.0f} s", flush=True)
    return output


def last_words(output: str) -> str:
    """The first and the last error, or the last line when nothing is marked as one; at most 500 characters."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("E: ", "ERROR: ", "error: "))] or lines[-1:]
    network = "; no network? `make setup` goes on from here when there is" if NO_NETWORK.search(output) else ""
    return " | ".join(dict.fromkeys([*errors[:1], *errors[-1:]]))[:400] + network


# ---------------------------------------------------------------- system packages, account


def missing_packages() -> list[str]:
    return [package for proof, package in NEEDED.items() if not _there(proof, package)]


def _there(proof: str, package: str) -> bool:
    if proof.startswith("/"):
        return any(Path("/").glob(proof.lstrip("/")))
    if package == "chromium" and shutil.which("chromium-browser"):
        return True
    return shutil.which(proof) is not None or Path("/usr/sbin", proof).exists()


def packages() -> None:
    _services_kept_off.remove_leftover()
    missing = missing_packages()
    if not missing:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0:
        raise SetupError(f"missing packages; run: sudo {command}")
    if shutil.which("apt-get") is None:
        raise SetupError(f"missing, and there is no apt-get here: {' '.join(missing)}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with _services_kept_off():
        try:
            step("apt-get update", ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any"], quiet)
        except SetupError as e:  # one broken source of many, perhaps
            print(f"setup: {e}", file=sys.stderr, flush=True)
        wait = ["-o", "DPkg::Lock::Timeout=120"]  # a machine that has just started updates itself
        step(f"installing {' '.join(missing)}", [*command.split(), "-q", *wait], quiet)


class _services_kept_off:
    """While it lasts no package starts a service, and PostgreSQL makes no cluster of its own."""

    def __init__(self) -> None:
        cluster = Path("/etc/postgresql-common/createcluster.conf")
        self.made = {POLICY: f"#!/bin/sh\n{OURS}\nexit 101\n", cluster: "create_main_cluster = false\n"}
        self.made = {path: text for path, text in self.made.items() if not path.exists()}

    def __enter__(self) -> None:
        for path, text in self.made.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def __exit__(self, *_: object) -> None:
        self.remove_leftover()

    @staticmethod
    def remove_leftover() -> None:
        """While it is there no package of the machine starts its service. One that is not ours stays."""
        with contextlib.suppress(OSError):
            if OURS in POLICY.read_text().splitlines():
                POLICY.unlink()


def account() -> None:
    """As root: an account for PostgreSQL, Redis and Asterisk. Without it they run as `nobody`."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam("cti")
    except KeyError:
        argv = "useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin cti"
        try:
            step("making the account cti", argv.split())
        except (SetupError, OSError) as e:
            print(f"setup: {e}; the parts will run as nobody", flush=True)


# ---------------------------------------------------------------- python


def virtual_environment() -> Path:
    folder = PROJECT / ".venv"
    wanted = _wanted()
    stamp, program = folder / ".cti-setup", folder / "bin/python"
    if stamp.exists() and stamp.read_text() == wanted and program.exists():
        return program
    pip = [str(program), "-m", "pip"]
    if not program.exists() or subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode != 0:
        shutil.rmtree(folder, ignore_errors=True)  # also one that was stopped half way: Python is there before pip
        step("making .venv", [_python(), "-m", "venv", str(folder)])
    pip += ["install", "-q", "--disable-pip-version-check", "-e", f"{PROJECT}[test]"]
    step("installing the Python packages of pyproject.toml", pip)
    stamp.write_text(wanted)
    return program


def _wanted() -> str:
    """A hash of what pyproject.toml asks to install, so that changing a linter's rule installs nothing."""
    text = (PROJECT / "pyproject.toml").read_text()
    return hashlib.sha256(text.partition("\n[tool.")[0].encode()).hexdigest()


def _python() -> str:
    """The system's Python, which every account can enter; else a newer one from PATH."""
    for name in ("/usr/bin/python3", "python3", "python3.13", "python3.12", "python3.11"):
        found = shutil.which(name)
        check = f"import sys, ensurepip; sys.exit(sys.version_info < {OLDEST})"
        if found and subprocess.run([found, "-c", check], capture_output=True, check=False).returncode == 0:
            return found
    raise SetupError("no Python 3.11 or newer with venv: apt install python3 python3-venv")


# ---------------------------------------------------------------- Asterisk


def _trees() -> Iterator[tuple[tuple[int, ...], Path]]:
    for cache in (SHARED, OWN):
        for tree in cache.glob("asterisk-*") if os.access(cache, os.R_OK | os.X_OK) else ():
            if (tree / STAMP).is_file():
                yield version_of(json.loads((tree / STAMP).read_text())["version"]), tree


def cached_asterisk() -> Path | None:
    """The newest fetched tree of the locked major version, or None."""
    major = version_of(locked()["version"])[0]
    return max(((v, t) for v, t in _trees() if v[0] == major or _ubuntu()), default=(None, None))[1]


def locked() -> dict[str, str]:
    """asterisk.lock: `version`, and `package architecture` -> sha256."""
    rows = [line.split() for line in LOCK.read_text().splitlines() if line.strip() and not line.startswith("#")]
    return {" ".join(row[:-1]): row[-1] for row in rows}


def version_of(text: str) -> tuple[int, ...]:
    """`1:22.10.1~dfsg+~cs6-1` -> (22, 10, 1)"""
    digits = "".join(c if c.isdigit() or c == "." else " " for c in text.split(":", 1)[-1]).split()
    return tuple(int(n) for n in digits[0].split(".") if n) if digits else (0,)


def asterisk() -> None:
    if shutil.which("asterisk") and os.environ.get("CTI_ASTERISK__BINARY"):
        return
    if cached_asterisk() is not None:
        return
    (cache := SHARED if os.geteuid() == 0 else OWN).mkdir(parents=True, exist_ok=True)
    for left in cache.glob("fetching-*"):
        if not Path("/proc", left.name.removeprefix("fetching-")).exists():
            shutil.rmtree(left, ignore_errors=True)
    target = cache / f"fetching-{os.getpid()}"
    try:
        found = _fetch(target)
        version = found["asterisk"]["version"]
        _compare(found)
        (target / STAMP).write_text(json.dumps({"version": version, "packages": found}, indent=1))
        _settle(target, cache / f"asterisk-{'.'.join(map(str, version_of(version)))}-{platform.machine()}")
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _settle(target: Path, tree: Path) -> None:
    """A whole tree that is there already is as good; half of one is replaced."""
    if not (tree / STAMP).is_file():
        shutil.rmtree(tree, ignore_errors=True)
        target.rename(tree)


def _fetch(target: Path) -> dict[str, dict[str, str]]:
    """Extract the packages into `target`: no chroot, no install scripts. Returns version and hash of each."""
    suite, mirror = _suite_and_mirror()
    note = 'cd "$1/var/cache/apt/archives" && sha256sum *.deb > "$1/cti-debs"'
    argv = ["mmdebstrap", "--mode=chrootless", "--variant=extract", f"--extract-hook={note}"]
    argv += ['--aptopt=APT::Install-Recommends "false"', '--aptopt=Acquire::Check-Valid-Until "false"']
    if _ubuntu():
        argv += ["--components=main,universe"]
    argv += [f"--include={','.join(ASTERISK)}", suite, str(target), mirror]
    step(f"fetching Asterisk ({suite}, {mirror}) into {target.parent}", argv)
    found = {}
    for line in (target / "cti-debs").read_text().splitlines():
        digest, name = line.split()
        package, version, kind = name.removesuffix(".deb").split("_")
        if package.startswith("asterisk"):
            found[package] = {"version": version.replace("%3a", ":"), "architecture": kind, "sha256": digest}
    if "asterisk" not in found:
        raise SetupError("the fetched packages hold no Asterisk")
    return found


def _compare(found: dict[str, dict[str, str]]) -> None:
    """Another major version is refused, a newer minor is said, the same version must have the same hash."""
    lock, version = locked(), found["asterisk"]["version"]
    wanted, got = version_of(lock["version"]), version_of(version)
    if _ubuntu():
        print(f"setup: Asterisk {version}; the tests of this project run on {lock['version']}", flush=True)
        return
    if got[0] != wanted[0]:
        raise SetupError(
            f"the archive has Asterisk {version}, asterisk.lock wants {wanted[0]}.x: name a mirror that "
            "still has it (CTI_DEBIAN_MIRROR) or your own Asterisk (CTI_ASTERISK__BINARY)"
        )
    if got < wanted:
        raise SetupError(f"the archive has Asterisk {version}, older than asterisk.lock: {lock['version']}")
    if version != lock["version"]:
        print(f"setup: Asterisk {version} is newer than {lock['version']} in asterisk.lock; taken", flush=True)
        return
    for package, row in found.items():
        digest = lock.get(f"{package} {row['architecture']}")
        if digest is not None and digest != row["sha256"]:
            raise SetupError(f"{package} {row['version']} is not the file in asterisk.lock (sha256 {row['sha256']})")


def _ubuntu() -> bool:
    try:
        return "ID=ubuntu" in Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return False


def _suite_and_mirror() -> tuple[str, str]:
    """Debian: sid, which has Asterisk 22; Ubuntu: its own suite. The mirror is the one apt uses here."""
    own, suite = os.environ.get("CTI_DEBIAN_MIRROR"), "sid"
    if _ubuntu():
        lines = Path("/etc/os-release").read_text().splitlines()
        suite = next(line.split("=")[1] for line in lines if line.startswith("VERSION_CODENAME="))
    if own:
        return suite, own
    argv = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(SUITE) $(ORIGIN)"]
    out = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    rows = [line.split() for line in out.splitlines()]
    plain = [r[0] for r in rows if r[-1:] in (["Debian"], ["Ubuntu"]) and "security" not in r[1]]
    if not plain:
        raise SetupError("no Debian archive in apt's sources: set CTI_DEBIAN_MIRROR=http://...")
    return suite, plain[0]


if __name__ == "__main__":
    sys.exit(main())
