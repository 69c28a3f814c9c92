"""Options that every verb on a running installation has: which home, which config."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from cti import config
from cti.config import Config
from cti.embedded import overrides


def add(parser: argparse.ArgumentParser, with_json: bool = False) -> None:
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings (default: HOME/cti.toml)")
    parser.add_argument("--home", type=Path, metavar="DIR", help="the home (default: CTI_HOME, else .cti)")
    if with_json:
        parser.add_argument("--json", action="store_true", help="print JSON")


def file_of(args: argparse.Namespace) -> Path | None:
    if args.config is None and args.home is not None:
        return Path(args.home).absolute() / "cti.toml"
    return Path(args.config) if args.config is not None else None


def load(args: argparse.Namespace) -> Config:
    """Raises ConfigError."""
    return config.load(file_of(args), environ(args))


def load_or_new(args: argparse.Namespace) -> Config:
    """Of a home that is not there yet: what it would have. Raises ConfigError."""
    if args.config is None and args.home is not None and not (args.home / "cti.toml").exists():
        return config.load(None, {**os.environ, "CTI_HOME": str(args.home)})
    return load(args)


def remembered(args: argparse.Namespace) -> dict[str, str]:
    """The overrides of the home's running `cti up` that this verb was not given itself."""
    file = file_of(args) or config.home_of(os.environ) / "cti.toml"
    found = overrides.remembered(file.absolute().parent) if file.name == "cti.toml" else {}
    return {name: value for name, value in found.items() if name not in os.environ}


def environ(args: argparse.Namespace) -> dict[str, str]:
    """What overrides the settings: variables given to the verb, else those its home runs with."""
    return {**remembered(args), **os.environ}


def print_json(data: Any) -> None:
    print(json.dumps(data, ensure_ascii=False, indent=2, default=str))
