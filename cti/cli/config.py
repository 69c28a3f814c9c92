"""`cti config show`: every setting, its value and where it came from; secrets masked."""

from __future__ import annotations

import argparse

from cti import config
from cti.cli import options


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    verbs = sub.add_parser("config", help="settings").add_subparsers(metavar="VERB", required=True)
    show = verbs.add_parser("show", help="every setting, its value and where it came from; secrets masked")
    options.add(show, with_json=True)
    show.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    found, origins = config.load_with_origins(options.file_of(args), options.environ(args))
    of_up = {name: f"{name} of the running `cti up`" for name in options.remembered(args)}
    rows = config.shown(found, {key: of_up.get(origin, origin) for key, origin in origins.items()})
    if args.json:
        options.print_json({key: {"value": value, "origin": origin} for key, value, origin in rows})
        return 0
    width = max(len(key) for key, _, _ in rows)
    for key, value, origin in rows:
        print(f"{key:<{width}}  {_text(value)}  ({origin})")
    return 0


def _text(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_text, value))}]"
    return str(value) if value not in ("", None) else "-"
