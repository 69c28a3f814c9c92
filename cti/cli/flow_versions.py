"""`cti flow publish|history|diff|rollback|share`: versions of the flows folder, in the database.

Needs no running server; those that run follow within a second."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cti import publishing
from cti.adapters import flow_files
from cti.adapters.postgres import Store
from cti.cli import database, options
from cti.core.ivr.changes import unified
from cti.errors import BadInput, Refused

Row = dict[str, Any]
Files = dict[str, str]


def register(verbs: Any) -> None:
    publish = database.verb(verbs, "publish", "check the folder and make it live, for new calls", _publish, True)
    publish.add_argument("path", nargs="?", type=Path, metavar="PATH", help="default: the configured flows folder")
    publish.add_argument("--note", default="", metavar="TEXT", help="what changed, for the history")
    publish.add_argument("--share", type=int, default=100, metavar="PERCENT", help="for so many of 100 callers only")
    publish.add_argument("--by", default="", metavar="NAME", help="who publishes (default: your login)")
    database.verb(verbs, "history", "the versions: when, by whom, what serves, how many calls", _history, True)
    diff = database.verb(verbs, "diff", "what changed between versions, or in the folder", _diff, True)
    diff.add_argument("a", nargs="?", type=int, metavar="A", help="a version; default: the live one")
    diff.add_argument("b", nargs="?", type=int, metavar="B", help="default: the live one; of that one, the folder")
    diff.add_argument("--folder", action="store_true", help="compare with the flows folder")
    rollback = database.verb(verbs, "rollback", "undo the last publishing, or make VERSION live again", _rollback)
    rollback.add_argument("version", nargs="?", type=int, metavar="VERSION")
    share = database.verb(verbs, "share", "give a version a share of the new callers", _share)
    share.add_argument("version", type=int, metavar="VERSION")
    share.add_argument("percent", type=int, metavar="PERCENT", help="1 to 99; 100: make it live, 0: withdraw it")
    for verb in (rollback, share):
        verb.add_argument("--by", default="", metavar="NAME", help="who does it (default: your login)")


def _who(args: argparse.Namespace) -> str:
    try:
        return args.by or getpass.getuser()
    except (KeyError, OSError):
        return "cli"


def _publish(args: argparse.Namespace) -> int:
    config = options.load(args)
    folder = args.path or config.paths.flows
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder: a version is the whole folder", "no_folder")

    async def work(store: Store) -> Row:
        sources = await flow_files.read_steady(folder)
        prompts = publishing.prompts_of(config, folder)
        return await publishing.publish(
            store, sources, prompts, config.site, by=_who(args), note=args.note, share=args.share,
            actor=database.actor(),
        )  # fmt: skip

    try:
        done = database.run(args, work)
    except publishing.Rejected as error:
        _tell(args, {"ok": False, "problems": msgspec.to_builtins(error.problems)}, *error.problems)
        return 1
    except Refused as error:
        if error.code != "unchanged":
            raise
        _tell(args, {"ok": True, "version": None, "share": None, "problems": []}, error)
        return 0
    told = {"ok": True, "version": done["version"], "share": done["share"], "problems": []}
    _tell(args, told, f"version {done['version']} {_serves(done['share'])}")
    return 0


def _tell(args: argparse.Namespace, row: Row, *lines: object) -> None:
    """The row with --json, else the lines."""
    if args.json:
        options.print_json(row)
    else:
        print(*lines, sep="\n")


def _serves(share: int) -> str:
    if share == 100:
        return "is live for new calls"
    return f"serves {share} % of the new callers" if share else "serves nobody any more"


def _history(args: argparse.Namespace) -> int:
    rows = database.run(args, lambda store: store.flow_history())
    if args.json:
        options.print_json(rows)
        return 0
    zone = database.zone(args)
    head = ["version", f"published ({zone})", "by", "calls", "state", "note"]
    print(database.table(head, [_line(row, zone) for row in rows]))
    return 0


def _line(row: Row, zone: ZoneInfo) -> Sequence[object]:
    at = database.local(row["published_at"], zone)
    return row["version"], at, row["published_by"], row["calls"], _state(row, zone), row["note"]


def _state(row: Row, zone: ZoneInfo) -> str:
    if row["live"]:
        return "live"
    if row["share"]:
        return f"{row['share']} % of the callers"
    back = row["rolled_back_at"]
    return f"rolled back {database.local(back, zone)}" if back else ""


def _diff(args: argparse.Namespace) -> int:
    folder = options.load(args).paths.flows
    if args.folder and args.b is not None:
        raise BadInput("compare with version B or with the --folder", "bad_diff")

    async def work(store: Store) -> tuple[tuple[str, Files], tuple[str, Files]]:
        live, _ = await store.serving_flows()
        first = args.a if args.a is not None else live["version"] if live else None
        second = args.b if args.b is not None or args.folder or live is None else live["version"]
        old = ("nothing", {}) if first is None else await _version(store, first)
        if second is None or (args.b is None and second == first):
            return old, ("folder", _files(folder))
        return old, await _version(store, second)

    (was, old), (now, new) = database.run(args, work)
    text = unified(old, new, was, now)
    if args.json:
        changed = sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))
        options.print_json({"from": was, "to": now, "changed": changed, "diff": text})
        return 0
    print("".join(char if char in "\n\t" else database.safe(char) for char in text), end="")
    if not text:
        print(f"{was} and {now} are the same", file=sys.stderr)
    return 0


async def _version(store: Store, version: int) -> tuple[str, Files]:
    files = await store.load_flows(version) if 0 < version < 2**31 else None
    if files is None:
        raise BadInput(f"there is no version {version}", "no_version")
    return f"version {version}", files


def _files(folder: Path) -> Files:
    sources = flow_files.read_folder(folder)
    for problem in sources.problems:
        print(f"cti: {problem}", file=sys.stderr)
    return sources.files


def _rollback(args: argparse.Namespace) -> int:
    async def work(store: Store) -> Row:
        done = await store.rollback_flows(args.version, _who(args), database.actor())
        return {**done, "silent": await _silent(args, store, done["live"])}

    done = database.run(args, work)
    gone = ", ".join(map(str, done["withdrawn"]))
    print(f"version {done['live']} is live for new calls; rolled back: {gone}")
    _warn(done["silent"])
    return 0


async def _silent(args: argparse.Namespace, store: Store, version: int) -> list[str]:
    """Its recordings that nobody has any more: that is told, not refused, a rollback being urgent."""
    files = await store.load_flows(version) or {}
    return await publishing.prompts_of(options.load(args)).gone(flow_files.recordings(files))


def _warn(silent: list[str]) -> None:
    for name in silent:
        print(f"cti: warning: {name} of this version is not there any more and will not be heard", file=sys.stderr)


def _share(args: argparse.Namespace) -> int:
    async def work(store: Store) -> Row:
        done = await store.share_flows(args.version, args.percent, _who(args), database.actor())
        return {**done, "silent": await _silent(args, store, args.version) if args.percent else []}

    done = database.run(args, work)
    print(f"version {done['version']} {_serves(done['share'])}")
    _warn(done["silent"])
    return 0
