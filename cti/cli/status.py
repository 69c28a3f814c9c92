"""`cti status`: what runs, where it is, and the live figures when the server answers."""

from __future__ import annotations

import argparse
import asyncio
import json
from importlib import metadata
from pathlib import Path
from typing import Any

from cti.cli import options
from cti.config import Config
from cti.embedded import http
from cti.embedded.supervisor import ORDER, running_pid


def register(sub: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = sub.add_parser("status", help="live: calls, queues, agents, adapters, versions")
    options.add(parser, with_json=True)
    parser.set_defaults(func=main)


def main(args: argparse.Namespace) -> int:
    """0 when the server answers, else 3 (what is known is printed all the same)."""
    state = asyncio.run(gather(options.load(args)))
    if args.json:
        options.print_json(state)
    else:
        _print(state)
    return 0 if state["server"]["answers"] else 3


async def gather(config: Config) -> dict[str, Any]:
    home = config.paths.home
    parts = {name: running_pid(home / "pids", name) for name in reversed(ORDER)}
    answers = await http.status(config, "/healthz") is not None
    ready = await http.status(config, "/readyz") == 200
    state: dict[str, Any] = {
        "version": metadata.version("cti"),
        "home": str(home),
        "server": {"pid": parts["server"], "answers": answers, "ready": ready},
        "parts": {name: {"pid": pid} for name, pid in parts.items()},
        "http": {"url": http.url(config)},
        "sip": {"host": config.sip.host, "port": config.sip.port},
        "postgres": {"dsn": config.postgres.dsn},
        "redis": {"url": config.redis.url},
        "paths": {name: _real(path) for name, path in _paths(config).items()},
    }
    return {**await _live(config), **state} if answers else state


def _paths(config: Config) -> dict[str, Path]:
    paths = config.paths
    return {
        "recordings": paths.recordings,
        "logs": paths.logs,
        "flows": paths.flows,
        "sounds": paths.sounds,
        "journal": paths.journal,
        "config": paths.home / "cti.toml",
    }


def _real(path: Path) -> str:
    return str(path.resolve())


async def _live(config: Config) -> dict[str, Any]:
    """calls, queues, agents, adapters as the server tells them on loopback; {} when it does not."""
    try:
        code, body = await http.get(config, "/api/v1/status")
        data = json.loads(body) if code == 200 else {}
    except (OSError, TimeoutError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _print(state: dict[str, Any]) -> None:
    server = state["server"]
    word = "ready" if server["ready"] else "starting" if server["answers"] else "does not answer"
    print(f"cti {state['version']} {state['http']['url']}: {word}")
    for name, part in state["parts"].items():
        if part["pid"] or name != "demo":
            print(f"  {name:<10} {'pid ' + str(part['pid']) if part['pid'] else 'not running'}")
    if "adapters" in state:
        print(f"  {'adapters':<10} {_adapters(state['adapters'])}")
        if flows := state["adapters"].get("flows"):
            print(f"  {'flows':<10} {flows['detail']}")
    for name in ("calls", "queues", "agents"):
        if name in state:
            print(f"  {name:<10} {len(state[name])}")
    print(f"  {'logs':<10} {state['paths']['logs']}")


def _adapters(state: dict[str, Any]) -> str:
    """The ones that are well by name, the others with what is wrong."""
    return ", ".join(name if one["ok"] else f"{name} AWAY ({one['detail']})" for name, one in state.items())
