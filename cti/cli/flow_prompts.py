"""`cti flow prompts list|render|import`: what callers hear, as files. Needs no running server and no database."""

from __future__ import annotations

import argparse
import asyncio
import math
import re
import sys
import tempfile
import uuid
from pathlib import Path
from typing import Any

import msgspec

from cti import publishing
from cti.adapters import flow_files, tts_levels
from cti.adapters.prompts import Prompts
from cti.cli import database, options
from cti.config import Config
from cti.core.ivr import Book
from cti.core.messages import Prompt, Sound, Text
from cti.errors import BadInput, CtiError
from cti.plain import read_plain, why

LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
MOST = 200 * 1024 * 1024  # bytes of a file that is imported
MISSING, RECORDED, SPOKEN = "missing", "recorded", "spoken"


class Line(msgspec.Struct, frozen=True):
    """One prompt, and the flows that it is heard in; none: it is no single flow's. `seconds` and `level` (dB of full
    scale) of those that are recorded; `ready`: it is in the folder of sounds."""

    flows: tuple[str, ...]
    language: str
    state: str
    prompt: str  # the file, or the words
    ready: bool = False
    seconds: float | None = None
    level: float | None = None
    problem: str = ""


def register(verbs: Any) -> None:
    nouns = database.noun(verbs, "prompts", "what callers hear: list it, make it, import recordings")
    for name, func, text in (
        ("list", _list, "every prompt of every flow and language, missing ones first"),
        ("render", _render, "make every prompt that does not depend on a call"),
    ):
        verb = database.verb(nouns, name, text, func, name == "list")
        verb.add_argument("--flows", type=Path, metavar="DIR", help="default: the configured flows folder")
    take = database.verb(nouns, "import", "recordings, cut and levelled, into the flows folder", _import)
    take.add_argument("files", nargs="+", type=Path, metavar="FILE", help="sound files of any kind that sox can read")
    take.add_argument("--language", required=True, metavar="L", help="that is spoken in them, as en")
    take.add_argument("--name", metavar="N", help="of the prompt; default: the file's")
    take.add_argument("--flows", type=Path, metavar="DIR", help="default: the configured flows folder")


# ---------------------------------------------------------------- what there is


def _book(args: argparse.Namespace, config: Config) -> tuple[Book, Prompts]:
    """The folder, checked but for recordings that are not there; those are to be told here."""
    folder = args.flows or config.paths.flows
    sources = flow_files.read_folder(folder)
    site, texts = config.site, msgspec.structs.replace(sources, sounds=None)
    book, problems = flow_files.load(texts, country=site.country, zone=site.time_zone)
    if book is None:
        raise publishing.Rejected(problems)
    prompts = publishing.prompts_of(config, folder)
    prompts.know(0, flow_files.recordings(sources.files))
    return book, prompts


def _list(args: argparse.Namespace) -> int:
    try:
        book, prompts = _book(args, options.load(args))
    except publishing.Rejected as error:
        print(*error.problems, sep="\n")
        return 1
    lines = asyncio.run(_lines(book, prompts))
    if args.json:
        options.print_json([msgspec.to_builtins(line) for line in lines])
        return 0
    rows = [(o.language, _state(o), _number(o.seconds), _number(o.level), ", ".join(o.flows), _told(o)) for o in lines]
    print(database.table(["language", "state", "seconds", "dB", "flows", "prompt"], rows))
    return 0


async def _lines(book: Book, prompts: Prompts) -> list[Line]:
    heard_in: dict[Prompt, list[str]] = {prompt: [] for prompt in book.prompts()}
    for name, flow in book.flows.items():
        for prompt in msgspec.structs.replace(book, flows={name: flow}).prompts():
            heard_in.setdefault(prompt, []).append(name)
    found = [await _line(tuple(flows), prompt, prompts) for prompt, flows in heard_in.items()]
    order = {MISSING: 0, RECORDED: 1, SPOKEN: 2}
    return sorted(found, key=lambda one: (order[one.state], one.flows, one.language, one.prompt))


async def _line(flows: tuple[str, ...], prompt: Prompt, prompts: Prompts) -> Line:
    if isinstance(prompt, Text):
        return Line(flows, prompt.language, SPOKEN, prompt.text, prompts.kept(prompt))
    file = _file(prompt)
    try:
        made = await prompts.render(prompt)
        heard = await asyncio.to_thread(tts_levels.measure, Path(f"{made}.wav"))
    except CtiError as error:
        return Line(flows, prompt.language, MISSING, file, problem=str(error))
    level = None if heard.loudness == -math.inf else round(heard.loudness, 1)
    return Line(flows, prompt.language, RECORDED, file, True, round(heard.seconds, 1), level)


def _file(sound: Sound) -> str:
    return f"prompts/{sound.language}/{sound.name}.wav"


def _state(line: Line) -> str:
    return line.state if line.state != SPOKEN else "spoken, made" if line.ready else "spoken, not made"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _told(line: Line) -> str:
    return line.prompt if line.state != SPOKEN else f'"{line.prompt}"'


def _render(args: argparse.Namespace) -> int:
    try:
        book, prompts = _book(args, options.load(args))
    except publishing.Rejected as error:
        print(*error.problems, sep="\n")
        return 1
    wrong = asyncio.run(prompts.prepare(book))
    print(*wrong, f"prompts made: {len(book.prompts()) - len(wrong)}, failed: {len(wrong)}", sep="\n")
    return 1 if wrong else 0


# ---------------------------------------------------------------- recordings come in


def _import(args: argparse.Namespace) -> int:
    if not LANGUAGE.fullmatch(args.language):
        raise BadInput(f"--language {args.language!r}: a language code, as en or zh", "bad_language")
    names = _names(args.files, args.name)
    flows = args.flows or options.load(args).paths.flows
    folder = _folder(flows, args.language)
    failed = 0
    for file, name in zip(args.files, names, strict=True):
        try:
            heard = asyncio.run(_taken(file, folder / f"{name}.wav"))
        except BadInput as error:
            failed += 1
            print(f"cti: {error}", file=sys.stderr)
        else:
            print(f"prompts/{args.language}/{name}.wav: {heard.seconds:.1f} s, {heard.loudness:.1f} dB")
    return 1 if failed else 0


def _names(files: list[Path], given: str | None) -> list[str]:
    if given is not None and len(files) > 1:
        raise BadInput("--name is for one file", "bad_name")
    names = [given if given is not None else file.stem for file in files]
    for name in names:
        if not NAME.fullmatch(name):
            what = "is no name of a prompt: letters a-z, digits, - and _ (--name gives it one)"
            raise BadInput(f"{name!r} {what}", "bad_name")
    if len(set(names)) < len(names):
        raise BadInput("two of the files have the same name", "bad_name")
    return names


def _folder(flows: Path, language: str) -> Path:
    """Made if it is not there. Links are not followed in a flows folder, so nothing is written through one either."""
    if not flows.is_dir():
        raise BadInput(f"{flows} is no folder", "no_folder")
    for folder in (flows / "prompts", flows / "prompts" / language):
        if folder.is_symlink():
            raise BadInput(f"{folder} is a link: links are not followed", "is_link")
        folder.mkdir(exist_ok=True)
    return flows / "prompts" / language


async def _taken(file: Path, to: Path) -> tts_levels.Heard:
    """Write it at once as `to`: who reads meanwhile finds the former one or the new one."""
    content = _content(file)
    made = to.with_name(f".{uuid.uuid4().hex}.wav")
    with tempfile.TemporaryDirectory(prefix="cti-import-") as folder:
        copy = Path(folder) / f"sound{file.suffix.lower() if file.suffix.isascii() else ''}"
        copy.write_bytes(content)
        try:
            heard = await tts_levels.level(copy, made)
            made.replace(to)
        except BadInput as error:
            raise BadInput(f"{file}: {str(error).removeprefix(f'{copy.name}: ')}", error.code) from error
        finally:
            made.unlink(missing_ok=True)
    return heard


def _content(file: Path) -> bytes:
    try:
        content = read_plain(file.absolute().parent, file.name, MOST)
    except OSError as error:
        raise BadInput(f"{file}: {why(error)}", "unreadable") from error
    if content is None:
        raise BadInput(f"{file}: larger than {MOST // 1024 // 1024} MiB", "too_large")
    return content
