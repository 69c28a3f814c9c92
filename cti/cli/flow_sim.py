"""`cti flow sim`: a text phone in the terminal, with a clock, a caller and answers from outside of its own."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cti.adapters import flow_files
from cti.cli import options
from cti.cli.flow_phone import HELP, Terminal, talk, value_of
from cti.cli.flow_save import Noted, save
from cti.config import Config
from cti.core import ivr
from cti.core.ivr.case_file import FOR_EVER, PAST, at_time
from cti.core.ivr.problems import meant
from cti.core.ivr.source import LANGUAGE, Reader, Source
from cti.core.messages import Forced
from cti.errors import BadInput


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verb = verbs.add_parser("sim", help="a phone in the terminal: hear the flow as text, press keys")
    verb.add_argument("flow", nargs="?", metavar="FLOW", help="the name of a flow; default: where --called leads to")
    verb.add_argument("--flows", type=Path, metavar="DIR", help="default: the configured flows folder")
    options.add(verb)
    verb.add_argument("--caller", default="", metavar="N", help="the caller's number")
    verb.add_argument("--called", default="", metavar="N", help="the number he calls")
    verb.add_argument("--at", metavar="TIME", help='when, like "2026-12-25 10:00", in the site\'s time; default: now')
    verb.add_argument("--language", metavar="L", help="default: that of the number, or of the flow")
    for option, metavar, text in (
        ("--customer", "KEY=VALUE", "customer.KEY: a customer is known"),
        ("--call", "KEY=VALUE", "call.repeat, last_agent, callback, callback_tries: of his calls before"),
        ("--calendar", "NAME=STATE", "open or closed: that calendar, by hand"),
        ("--answer", "NODE=OUTCOME", "what a lookup, http, script ... node comes to"),
        ("--set", "NODE.FIELD=VALUE", "a field of such an answer"),
    ):
        verb.add_argument(option, metavar=metavar, action="append", default=[], help=text)
    verb.add_argument("--save", metavar="NAME", help="add the call as a test of that name to FLOW.test.yaml")
    verb.set_defaults(func=sim)


def sim(args: argparse.Namespace) -> int:
    settings = options.load(args)
    folder = args.flows or settings.paths.flows
    book, problems = flow_files.check(folder, country=settings.site.country, zone=settings.site.time_zone)
    if book is None:
        print(*problems, sep="\n", file=sys.stderr)
        return 1
    phone = _phone(args, settings, book)
    terminal = Terminal(ZoneInfo(settings.site.time_zone))
    terminal.say(f"{phone.turn.line.flow}, {terminal.time(phone.at)}. {HELP}")
    talk(phone, terminal)
    if args.save:
        flow = phone.path[0].flow if phone.path else phone.line.flow
        print(f"saved in {save(folder, args.save, flow, phone, settings.site.time_zone)}")
    return 0


def _phone(args: argparse.Namespace, settings: Config, book: ivr.Book) -> Noted:
    flow, language = _start(args, book)
    return Noted(
        book,
        flow,
        _language(args.language) or language or None,
        caller=args.caller,
        called=args.called,
        customer={key: value_of(text) for key, text in _pairs(args.customer, "--customer KEY=VALUE")},
        at=_at(args.at, settings.site.time_zone),
        forced={key: _forced(book, key, text) for key, text in _pairs(args.calendar, "--calendar NAME=open")},
        answers=_answers(args, book),
        past=_past(args.call),
    )


def _start(args: argparse.Namespace, book: ivr.Book) -> tuple[str, str]:
    led = book.flow_for(args.called) if args.called else None
    if args.flow is None:
        if led is None:
            raise BadInput("say which flow, or a number of numbers.yaml with --called")
        return led
    if args.flow not in book.flows:
        raise BadInput(f"there is no flow `{args.flow}`; there are: {', '.join(sorted(book.flows))}")
    return args.flow, led[1] if led is not None and led[0] == args.flow else ""


def _language(code: str | None) -> str | None:
    if code is not None and not LANGUAGE.fullmatch(code):
        raise BadInput(f"`{code}` is no language, write it like en, zh or id")
    return code


def _at(text: str | None, zone: str) -> float:
    if text is None:
        return time.time()
    at = at_time(text, zone)
    if at is None:
        raise BadInput(f'`{text}` is no time, write it like "2026-12-25 10:00"')
    return at


def _past(given: Iterable[str]) -> dict[str, Any]:
    """As a test file has it."""
    found = {key: value_of(text) for key, text in _pairs(given, "--call repeat=2")}
    reader = Reader(Source("", found))
    past = reader.fields((), found, PAST, "--call")
    for problem in reader.problems:
        raise BadInput(problem.message)
    return past


def _forced(book: ivr.Book, calendar: str, text: str) -> Forced:
    _known("calendar", calendar, book.calendars)
    if text not in ("open", "closed"):
        raise BadInput(f"a calendar is open or closed, not `{text}`")
    return Forced("open" if text == "open" else "closed", FOR_EVER)


def _known(what: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise BadInput(f"there is no {what} `{name}`, {meant(name, known)}".removesuffix(", "))


def _pairs(given: Iterable[str], form: str) -> list[tuple[str, str]]:
    pairs = [text.partition("=") for text in given]
    for key, mark, _ in pairs:
        if not (key and mark):
            raise BadInput(f"write {form}")
    return [(key, value) for key, _, value in pairs]


def _answers(args: argparse.Namespace, book: ivr.Book) -> dict[str, list[ivr.Answer]]:
    outcomes = dict(_pairs(args.answer, "--answer NODE=OUTCOME"))
    data: dict[str, dict[str, Any]] = {node: {} for node in outcomes}
    for key, text in _pairs(args.set, "--set NODE.FIELD=VALUE"):
        node, dot, field = key.partition(".")
        if not (node and dot and field):
            raise BadInput("write --set NODE.FIELD=VALUE")
        data.setdefault(node, {})[field] = value_of(text)
    nodes = {name for flow in book.flows.values() for node in flow.nodes for name in (node, f"{flow.name}/{node}")}
    for node in data:
        _known("node", node, nodes)
    return {node: [ivr.Answer(outcomes.get(node, ""), data=fields)] for node, fields in data.items()}
