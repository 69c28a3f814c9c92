"""`cti flow`: check, try out, draw flow files; their versions and prompts. Needs no running server."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import msgspec

from cti.adapters import flow_cases, flow_files
from cti.cli import flow_draw, flow_prompts, flow_try, flow_versions, options
from cti.core.ivr.drawing import schema
from cti.core.ivr.reference import page


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = sub.add_parser("flow", help="flow files: check, try out, draw, publish, roll back; prompts").add_subparsers(
        metavar="VERB", required=True
    )
    check = verbs.add_parser("check", help="print every problem of a flow file or folder; exit 1 when there is one")
    check.add_argument("path", nargs="?", type=Path, metavar="PATH", help="default: the configured flows folder")
    options.add(check, with_json=True)
    check.set_defaults(func=_check)
    flow_draw.register(verbs)
    print_schema = verbs.add_parser("schema", help="print the JSON Schema of a flow file, for editors")
    print_schema.set_defaults(func=_schema)
    reference = verbs.add_parser("reference", help="print the page that explains every node")
    reference.set_defaults(func=_reference)
    flow_try.register(verbs)
    flow_versions.register(verbs)
    flow_prompts.register(verbs)


def _check(args: argparse.Namespace) -> int:
    settings = options.load(args)
    path = args.path if args.path is not None else settings.paths.flows
    if flow_cases.is_test(path):
        book, problems = flow_try.check_alone(path, settings)
    else:
        book, problems = flow_files.check(path, country=settings.site.country, zone=settings.site.time_zone)
        problems = [*problems, *flow_try.check(path, book, settings)]
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


def _reference(args: argparse.Namespace) -> int:
    print(page(), end="")
    return 0
