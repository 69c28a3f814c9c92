"""`cti flow`: check, try out, draw flow files. Needs no running server."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from cti.adapters import flow_files
from cti.cli import options
from cti.core import ivr
from cti.core.ivr.drawing import mermaid, schema
from cti.core.messages import Prompt, Text


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = sub.add_parser("flow", help="flow files: check, try out, draw").add_subparsers(
        metavar="VERB", required=True
    )
    check = verbs.add_parser("check", help="print every problem of a flow file or folder; exit 1 when there is one")
    check.add_argument("path", nargs="?", type=Path, metavar="PATH", help="default: the configured flows folder")
    options.add(check, with_json=True)
    check.set_defaults(func=_check)
    for name, func, text in (
        ("sim", _sim, "a phone in the terminal: hear the flow as text, press keys"),
        ("draw", _draw, "print the flow as a Mermaid flowchart"),
    ):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("flow", metavar="FLOW", help="the name of a flow")
        verb.add_argument("--flows", type=Path, metavar="DIR", help="default: the configured flows folder")
        options.add(verb)
        verb.set_defaults(func=func)
        if name == "sim":
            verb.add_argument("--language", help="default: the flow's")
            verb.add_argument("--caller", default="", help="the caller's number")
            verb.add_argument("--customer", metavar="KEY=VALUE", action="append", default=[], help="customer.KEY")
    print_schema = verbs.add_parser("schema", help="print the JSON Schema of a flow file, for editors")
    print_schema.set_defaults(func=_schema)


def _check(args: argparse.Namespace) -> int:
    settings = options.load(args)
    path = args.path if args.path is not None else settings.paths.flows
    book, problems = flow_files.check(path, country=settings.site.country, zone=settings.site.time_zone)
    notes = book.notes if book is not None else ()
    if args.json:
        told = {"problems": msgspec.to_builtins(problems), "notes": msgspec.to_builtins(notes)}
        options.print_json({"ok": not problems, **told})
    else:
        print(*problems, *(f"note: {note}" for note in notes), sep="\n", end="\n" if problems or notes else "")
        if not problems and book is not None:
            print(f"ok; flows: {len(book.flows)}, queues: {len(book.queues)}, numbers: {len(book.numbers)}")
    return 1 if problems else 0


def _schema(args: argparse.Namespace) -> int:
    print(json.dumps(schema(), indent=2))
    return 0


def _book(args: argparse.Namespace) -> ivr.Book | None:
    settings = options.load(args)
    book, problems = flow_files.check(
        args.flows or settings.paths.flows, country=settings.site.country, zone=settings.site.time_zone
    )
    for problem in problems:
        print(problem, file=sys.stderr)
    if book is not None and args.flow not in book.flows:
        print(f"cti: there is no flow `{args.flow}`; there are: {', '.join(sorted(book.flows))}", file=sys.stderr)
        return None
    return book


def _draw(args: argparse.Namespace) -> int:
    book = _book(args)
    if book is None:
        return 1
    print(mermaid(book.flows[args.flow]), end="")
    return 0


# ---------------------------------------------------------------- the phone in the terminal


def _sim(args: argparse.Namespace) -> int:
    book = _book(args)
    if book is None:
        return 1
    customer = dict(pair.partition("=")[::2] for pair in args.customer)
    context = ivr.Context(call={"caller": args.caller, "called": ""}, customer=customer)
    print("Keys: 0-9 * #. Enter alone: press nothing. Ctrl-D: hang up.")
    turn = ivr.begin(book, args.flow, args.language, context)
    while True:
        _tell(turn)
        answer = _answer(turn.action)
        if answer is None:
            return 0
        turn = ivr.proceed(book, turn.line, answer, context)


def _tell(turn: ivr.Turn) -> None:
    for visit in (one for one in turn.trail if isinstance(one, ivr.Visit)):
        set_here = "".join(f", {key} = {value!r}" for key, value in visit.vars.items())
        print(f"  [{visit.node}: {visit.outcome} -> {visit.to}{set_here}]")
    match turn.action:
        case ivr.Say(prompts=prompts) | ivr.Ask(prompts=prompts):
            for prompt in prompts:
                print(_words(prompt))
        case ivr.Enqueue(queue, skills, priority, _):
            print(f"  (waiting in queue {queue}, priority {priority or 0}, skills {skills or 'of the queue'})")
        case ivr.Dial(to, timeout):
            print(f"  (calling {to} for up to {timeout:g} s)")
        case ivr.End(how, cause):
            print(f"  (the call ends: {how}, cause {cause})")


def _words(prompt: Prompt) -> str:
    if isinstance(prompt, Text):
        return f'"{prompt.text}"'
    return f"[prompts/{prompt.language}/{prompt.name}.wav]"


def _answer(action: ivr.Action) -> ivr.Answer | None:
    """What the person at the terminal does; None: the call is over."""
    try:
        match action:
            case ivr.Say():
                return ivr.Answer("done")
            case ivr.Ask():
                key = input("key> ").strip()
                return ivr.Answer("digits", key) if key else ivr.Answer("timeout")
            case ivr.Enqueue():
                return ivr.Answer(input("answered, timeout, full, no_agents or closed [answered]> ") or "answered")
            case ivr.Dial():
                return ivr.Answer(input("answered, busy, no_answer or fail [answered]> ") or "answered")
            case _:
                return None
    except EOFError:
        print("\n  (the caller hangs up)")
        return None
