"""`cti acd replay`: a day once more, through the present queues and through others, before anybody publishes them."""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from cti.adapters import flow_files, postgres_replay
from cti.adapters.flow_files import MAX_BYTES, Sources
from cti.adapters.postgres import Store
from cti.cli import database, options
from cti.config import Config
from cti.core.acd_compare import Compared, Estimate, Figures, Setup, Table, as_recorded, compare, play
from cti.core.acd_days import completed, notes, recorded
from cti.core.acd_made import Plan, generated
from cti.core.acd_record import Record
from cti.core.ivr import Book
from cti.core.ivr.calendars import hours
from cti.errors import BadInput
from cti.plain import read_plain

MOST_SEEDS = 1000
PLAN = {"calls": (1, 200_000), "hours": (0.1, 168), "agents": (1, 5000), "talk": (1, 36_000), "wrap": (0, 36_000),
        "patience": (0, 86_400), "answer": (0, 600), "serves": (0, 1000)}  # fmt: skip
ROWS = {
    "offered": ("offered", 1, ""), "answered": ("answered", 1, ""), "service_level": ("service level", 100, " %"),
    "abandoned": ("abandoned", 100, " %"), "lost": ("sent away", 100, " %"), "wait_mean": ("wait, mean", 1, " s"),
    "wait_p50": ("wait, half within", 1, " s"), "wait_p90": ("wait, 90 % within", 1, " s"),
    "wait_max": ("wait, longest", 1, " s"), "called_back": ("called back", 1, ""), "calls": ("calls", 1, ""),
    "busy": ("busy", 1 / 60, " min"), "occupancy": ("occupancy", 100, " %"),
}  # fmt: skip


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = database.noun(sub, "acd", "routing: try it before you publish it")
    replay = database.verb(verbs, "replay", "play a day through the present queues and through others", _replay, True)
    which = replay.add_mutually_exclusive_group(required=True)
    which.add_argument("--day", metavar="YYYY-MM-DD", help="a recorded day, in the site's time zone")
    which.add_argument("--generate", metavar="KEY=N,...", help=f"a day made up: {', '.join(PLAN)} (s, but for hours)")
    replay.add_argument("--queues", type=Path, metavar="PATH", help="the other queues.yaml, or a flows folder with one")
    replay.add_argument("--seeds", type=int, default=10, metavar="N", help="how often what is not known is drawn")
    replay.add_argument("--seed", type=int, default=1, metavar="N", help="the first; the same one gives the same days")


def _replay(args: argparse.Namespace) -> int:
    if not 1 <= args.seeds <= MOST_SEEDS:
        raise BadInput(f"--seeds must be from 1 to {MOST_SEEDS}", "bad_seeds")
    config = options.load(args)
    zone = ZoneInfo(config.site.time_zone)
    plan = _plan(args.generate) if args.generate is not None else None
    span = _span(args.day, zone) if args.day is not None else (0.0, 0.0)
    record, files = database.run(args, lambda store: _read(store, *span)) if plan is None else (None, None)
    record, filled = completed(record) if record is not None else (None, ())
    present = Sources(files) if files is not None else flow_files.read_folder(config.paths.flows)
    here = "the live version" if files is not None else config.paths.flows
    setups = []
    for where in [None, *([args.queues] if args.queues else [])]:
        book = _book(present if where is None else _other(present, where), config, where)
        if book is None:
            return 1
        if not book.queues:
            raise BadInput(f"{where or here}: there are no queues in it", "no_queues")
        setups.append(_setup(book, always_open=plan is not None))
    seeds = range(args.seed, args.seed + args.seeds)
    now, *rest = [list(_played(plan, record, setups[0], setup, seeds)) for setup in setups]
    told = as_recorded(record, setups[0].queues) if record is not None else None
    table = compare(told, now, rest[0] if rest else [])
    said = list(_said(record, filled, setups)) if record is not None else []
    if args.json:
        options.print_json({"day": args.day, "generated": msgspec.to_builtins(plan), "filled": filled,
                            "seeds": args.seeds, "notes": said, **msgspec.to_builtins(table)})  # fmt: skip
    else:
        print("\n".join([*_lines(args, zone, table, record), *map(database.safe, said)]))
    return 0


def _said(record: Record, filled: Sequence[str], setups: Sequence[Setup]) -> Iterator[str]:
    """What is to be known of such a day."""
    if filled:
        yield (f"Of {', '.join(filled)} only calls are recorded for a part of the day, and no states: "
               "taken as ready from the first of these calls to the last.")  # fmt: skip
    yield from dict.fromkeys(note for setup in setups for note in notes(record, setup.queues))


# ---------------------------------------------------------------- what is played


def _span(day: str, zone: ZoneInfo) -> tuple[float, float]:
    try:
        which = date.fromisoformat(day)
    except ValueError as e:
        raise BadInput(f"--day {day}: write it as 2026-11-25", "bad_day") from e
    begin = datetime.combine(which, time(), zone)
    if begin > datetime.now(UTC):
        raise BadInput(f"--day {day} has not begun yet", "bad_day")
    return begin.timestamp(), datetime.combine(which + timedelta(days=1), time(), zone).timestamp()


def _plan(text: str) -> Plan:
    """KEY=N,... Raises BadInput for each that is not known, twice, no number or out of its limits."""
    found: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = part.partition("=")
        if key not in PLAN or key in found:
            known = "is given twice" if key in found else f"is not known; there are {', '.join(PLAN)}"
            raise BadInput(f"--generate: {key} {known}", "bad_plan")
        least, most = PLAN[key]
        whole = key in ("calls", "agents", "serves")
        try:
            found[key] = int(value) if whole else float(value)
        except ValueError as e:
            raise BadInput(f"--generate: {key}={value} is no {'whole ' if whole else ''}number", "bad_plan") from e
        if not least <= found[key] <= most:
            raise BadInput(f"--generate: {key} must be from {least:g} to {most:g}", "bad_plan")
    return Plan(**found)


async def _read(store: Store, since: float, until: float) -> tuple[Record, dict[str, str] | None]:
    """The day, and the files of the live version; None: nothing was published."""
    found = await postgres_replay.record(store, since, until)
    if not found.visits:
        raise BadInput("nobody waited in a queue on that day", "empty_day")
    live, _ = await store.serving_flows()
    return found, await store.load_flows(live["version"]) if live else None


def _other(present: Sources, path: Path) -> Sources:
    """The other files: a folder's, or the present ones with this queues.yaml. Raises BadInput."""
    if path.is_dir():
        return flow_files.read_folder(path)
    real = path.resolve()
    try:
        content = read_plain(real.parent, real.name, MAX_BYTES)
        if content is None:
            raise BadInput(f"{path}: larger than {MAX_BYTES // 1024} KiB", "no_queues")
        return Sources({**present.files, "queues.yaml": content.decode()})
    except OSError as e:
        raise BadInput(f"{path}: {e.strerror}", "no_queues") from e
    except UnicodeDecodeError as e:
        raise BadInput(f"{path}: is not UTF-8 text", "no_queues") from e


def _book(sources: Sources, config: Config, where: Path | None) -> Book | None:
    """`where`: the folder that was named, or the file in place of queues.yaml."""
    site = config.site
    book, problems = flow_files.load(sources, country=site.country, zone=site.time_zone)
    for problem in problems:
        if where is not None and (where.is_dir() or problem.file == "queues.yaml"):
            file = where / problem.file if where.is_dir() else where
            problem = msgspec.structs.replace(problem, file=str(file))
        print(problem, file=sys.stderr)
    return book


def _setup(book: Book, always_open: bool) -> Setup:
    def is_open(calendar: str, at: float) -> bool:
        if always_open or calendar not in book.calendars:
            return True
        return hours(book.calendars[calendar], at, book.zone).state == "open"

    return Setup(book.queues, book.routing, is_open)


def _played(
    plan: Plan | None, record: Record | None, present: Setup, setup: Setup, seeds: Iterable[int]
) -> Iterator[Figures]:
    """A day for each seed; the same days whatever the setup, made for the present one."""
    for seed in seeds:
        chance = random.Random(seed).random
        if record is not None:
            yield play(recorded(record, chance, present.queues, setup.queues), setup)
        elif plan is not None:
            yield play(generated(plan, present.queues, chance, setup.queues), setup)


# ---------------------------------------------------------------- the table


def _lines(args: argparse.Namespace, zone: ZoneInfo, table: Table, record: Record | None) -> Iterator[str]:
    what = f"{args.day} ({zone})" if record is not None else f"a day made up: {args.generate or 'as it comes'}"
    other = f", and with {args.queues}" if args.queues else ""
    yield f"{what}, with the present queues{other}; {args.seeds} times, +- is what chance may have moved (95 %)"
    for name, rows in table["queues"].items():
        if any(one.recorded or _mean(one.now) for one in rows.values()):
            yield f"\nqueue {database.safe(name)}"
            yield _table(args, record, [(ROWS[key], rows[key]) for key in rows])
    yield "\nagents"
    yield _agents(args, record, table)
    if record is not None:
        yield ""
        yield from _honest(table, bool(args.queues))


def _mean(one: Estimate | None) -> float | None:
    return one.mean if one is not None else None


def _table(
    args: argparse.Namespace, record: Record | None, rows: Sequence[tuple[tuple[str, float, str], Compared]]
) -> str:
    head = ["", *(["recorded"] if record else []), "present", *(["other", "difference"] if args.queues else [])]
    lines = []
    for (label, factor, unit), one in rows:
        cells = [_number(one.recorded, factor, unit)] if record else []
        cells.append(_estimate(one.now, factor, unit))
        if args.queues:
            cells += [_estimate(one.other, factor, unit), _estimate(one.difference, factor, unit, "+")]
        lines.append(["  " + label, *cells])
    return database.table(head, lines)


def _agents(args: argparse.Namespace, record: Record | None, table: Table) -> str:
    """One line an agent: calls and occupancy."""
    head = ["", *(["recorded calls", "occupancy"] if record else []), "present calls", "occupancy"]
    head += ["other calls", "occupancy", "difference"] if args.queues else []
    lines = []
    for name, rows in table["agents"].items():
        calls, load = rows["calls"], rows["occupancy"]
        cells = [_number(calls.recorded, 1, ""), _number(load.recorded, 100, " %")] if record else []
        cells += [_estimate(calls.now, 1, ""), _estimate(load.now, 100, " %")]
        if args.queues:
            cells += [_estimate(calls.other, 1, ""), _estimate(load.other, 100, " %"),
                      _estimate(load.difference, 100, " %", "+")]  # fmt: skip
        lines.append(["  " + name, *cells])
    return database.table(head, lines)


def _number(value: float | None, factor: float, unit: str) -> str:
    return "-" if value is None else f"{value * factor:.{1 if unit else 0}f}{unit}"


def _estimate(one: Estimate | None, factor: float, unit: str, sign: str = "") -> str:
    if one is None:
        return "-"
    noise = "" if one.noise is None else f" +-{one.noise * factor:.1f}"
    return f"{one.mean * factor:{sign}.1f}{noise}{unit}"


def _honest(table: Table, compared: bool) -> Iterator[str]:
    """How well the simulation tells the day that was."""
    gaps = []
    for name, rows in table["queues"].items():
        level, wait = rows["service_level"], rows["wait_mean"]
        for label, one, factor, unit in (("service level", level, 100, " points"), ("mean wait", wait, 1, " s")):
            if one.recorded is not None and one.now is not None:
                gaps.append(f"{label} of {database.safe(name)} {(one.now.mean - one.recorded) * factor:+.1f}{unit}")
    yield "The simulated present beside what was recorded: " + ("; ".join(gaps) or "nothing to compare") + "."
    if compared:
        yield "Trust the differences no further than that."
