"""Turns the files of a flows folder into a Book, or into every problem they have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import msgspec

from cti.core.ivr import model, verbs
from cti.core.ivr.calendar_source import read_calendars
from cti.core.ivr.expressions import Names, is_template
from cti.core.ivr.model import Book, Flow, Node, Number
from cti.core.ivr.problems import Problem
from cti.core.ivr.source import (
    Path,
    Reader,
    Source,
    a_map,
    duration,
    language,
    name,
    text,
    told,
    whole,
)  # fmt: skip
from cti.core.ivr.verbs import COMMON, VERBS, Scope
from cti.core.numbers import to_e164
from cti.core.queues import QueueConfig, read_queues

CONFIG = ("queues.yaml", "numbers.yaml", "calendars.yaml", "voicemail.yaml", "surveys.yaml")
LATER = frozenset({"voicemail.yaml", "surveys.yaml"})
CALL_FIELDS = ("id", "caller", "caller_name", "called")
RESERVED = ("call", "customer", "vars", "language", *model.TARGETS)
DEFAULTS = {
    "input_timeout": duration(1, 60),
    "digit_timeout": duration(1, 60),
    "retries": whole(0, 9),
    "fail": text,
}
MAX_NUMBER = 30
MAX_EXPRESSIONS = 2_000  # of a flow: each is compiled
WAITS = (model.Menu, model.Queue, model.Dial, model.Hangup)  # what waits for somebody, or ends the call


class _Draft(msgspec.Struct):
    """A flow being read."""

    reader: Reader
    name: str
    language: str
    start: str
    defaults: dict[str, Any]
    nodes: dict[str, Any]
    to: list[tuple[Path, Any]] = []  # every target written in the file, to be checked
    made: dict[str, Node] = {}


class _Settings(msgspec.Struct, frozen=True):
    country: str
    allow: frozenset[str]
    sounds: Collection[str] | None


def load_book(
    files: Mapping[str, Source],
    *,
    version: int = 0,
    country: str = "ID",
    allow: Iterable[str] = (),
    sounds: Collection[str] | None = None,
    zone: str = "UTC",
) -> Book | list[Problem]:
    """The Book, or all problems, sorted.

    `sounds`: the recorded prompts there are, as `prompts/en/hello.wav`; None: do not look.
    `zone`: the site's time zone, of calendars that name none."""
    settings = _Settings(country, frozenset(allow), sounds)
    readers = {file: Reader(source) for file, source in files.items()}
    sound = {file: reader for file, reader in readers.items() if reader.source.data is not None}
    queues = read_queues(sound["queues.yaml"]) if "queues.yaml" in sound else {}
    drafts = [_draft(reader) for file, reader in sound.items() if file not in CONFIG]
    _check_doubles(drafts)
    for draft in drafts:
        _read_nodes(draft, settings)
        _check_targets(draft)
        _check_endless(draft)
        if "queues.yaml" not in readers or "queues.yaml" in sound:
            _check_queues(draft, queues)
    numbers = _numbers(sound["numbers.yaml"], drafts, settings, readers == sound) if "numbers.yaml" in sound else {}
    calendars = read_calendars(sound, readers)
    for file in sound.keys() & LATER:
        sound[file].note((), "nothing in this file is acted on yet")
    _check_sounds(drafts, numbers, settings)
    if problems := told(readers.values()):
        return problems
    flows = {draft.name: _flow(draft) for draft in drafts}
    notes = sorted(note for reader in readers.values() for note in reader.notes)
    return Book(flows, queues, numbers, version, country, settings.allow, tuple(notes), calendars, zone)


def _flow(draft: _Draft) -> Flow:
    fail = draft.defaults.get("fail", "")
    return Flow(draft.name, draft.language, draft.start, draft.made, fail, draft.reader.source.file)


# ---------------------------------------------------------------- one flow


def _draft(reader: Reader) -> _Draft:
    known = {
        "flow": name,
        "language": language,
        "defaults": lambda r, path, value: r.fields(path, value, DEFAULTS, "`defaults`"),
        "start": text,
        "nodes": lambda r, path, value: a_map(r, path, value, "`nodes`"),
    }
    found = reader.fields((), reader.source.data, known, "a flow", ("flow", "language", "start", "nodes"))
    draft = _Draft(
        reader=reader,
        name=found.get("flow", ""),
        language=found.get("language", ""),
        start=found.get("start", ""),
        defaults=found.get("defaults", {}),
        nodes=found.get("nodes", {}),
    )
    if "digit_timeout" in draft.defaults:
        reader.note(("defaults", "digit_timeout"), "`digit_timeout` is not acted on yet")
    if "nodes" in found and not draft.nodes:
        reader.wrong(("nodes",), "a flow needs at least one node", of_key=True)
    return draft


def _check_doubles(drafts: list[_Draft]) -> None:
    files: dict[str, str] = {}
    for draft in drafts:
        if draft.name in files and draft.name:
            draft.reader.wrong(("flow",), f"flow `{draft.name}` is in {files[draft.name]} too")
        files.setdefault(draft.name, draft.reader.source.file)


def _read_nodes(draft: _Draft, settings: _Settings) -> None:
    names = _variables(draft)
    scope = Scope(draft.language, draft.defaults, names, settings.country, settings.allow)
    if _expressions(draft.nodes) > MAX_EXPRESSIONS:
        draft.reader.wrong(("nodes",), f"a flow has at most {MAX_EXPRESSIONS} texts with `{{{{ }}}}`", of_key=True)
        return
    for key, written in draft.nodes.items():
        path: Path = ("nodes", key)
        name(draft.reader, path, key, of_key=True)
        if key in RESERVED:
            draft.reader.wrong(path, f"a node cannot be called `{key}`", of_key=True)
        node = _node(draft, scope, path, key, written)
        if node is not None:
            draft.made[key] = node


def _expressions(value: Any) -> int:
    """How many texts with `{{ }}` there are in a value and all it holds."""
    if isinstance(value, str):
        return is_template(value)
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(map(_expressions, inner))


def _variables(draft: _Draft) -> Names:
    """What the expressions of a flow may use: `vars` are those that some node of it sets."""
    wanted = [node.get("vars") for node in draft.nodes.values() if isinstance(node, dict) and node.get("do") == "set"]
    held = {key for one in wanted if isinstance(one, dict) for key in one}
    known = {"call", "customer", "vars", "language", *draft.nodes}
    return Names(known, {"call": CALL_FIELDS, "vars": held})


def _node(draft: _Draft, scope: Scope, path: Path, key: str, written: Any) -> Node | None:
    reader = draft.reader
    if not isinstance(written, dict) or not isinstance(written.get("do"), str):
        reader.wrong(path, f"node `{key[:60]}` needs a verb", "`do: say` or another one", of_key=True)
        return None
    verb = VERBS.get(written["do"])
    if verb is None:
        verbs.unknown_verb(reader, (*path, "do"), written["do"])
        return None
    before = len(reader.problems)
    targets = COMMON if verb.outcomes else ()
    known = {
        **verb.keys(scope),
        **dict.fromkeys((*verb.outcomes, *targets), lambda _reader, at, value: (at, value)),
        "do": lambda _reader, _path, value: value,
        "note": text,
    }
    found = reader.fields(path, written, known, f"a {written['do']} node", verb.needed)
    if verb.one_of and not any(word in written for word in verb.one_of):
        reader.wrong(path, f"a {written['do']} node needs {' or '.join(f'`{w}`' for w in verb.one_of)}", of_key=True)
    to = _outcomes(found, (*verb.outcomes, *targets))
    draft.to += to.values()
    if len(reader.problems) > before:
        return None
    led = {outcome: str(target) for outcome, (_, target) in to.items()}
    then, fail = led.pop("then", ""), led.pop("fail", "")
    return Node(key, written["do"], verb.build(scope, found), led, then, fail)


def _outcomes(found: Mapping[str, Any], named: Iterable[str]) -> dict[str, tuple[Path, Any]]:
    """Every outcome with the target written for it: those of keys, of menu options and of conditions."""
    to: dict[str, tuple[Path, Any]] = {word: found[word] for word in named if word in found}
    to.update(found.get("options", {}))
    to.update({str(at): case["to"] for at, case in enumerate(found.get("when", []), 1) if "to" in case})
    return to


# ---------------------------------------------------------------- a flow as a whole


def _check_targets(draft: _Draft) -> None:
    targets = list(draft.to)
    if draft.defaults.get("fail"):
        targets.append((("defaults", "fail"), draft.defaults["fail"]))
    known = {*draft.nodes, *model.TARGETS}
    for path, target in targets:
        _check_target(draft, path, target, known)
    if draft.start:
        _check_target(draft, ("start",), draft.start, draft.nodes)


def _check_target(draft: _Draft, path: Path, target: Any, known: Collection[str]) -> None:
    if not isinstance(target, str):
        draft.reader.wrong(path, f"`{path[-1]}` must be a node or one of {', '.join(model.TARGETS)}")
    elif target not in known:
        draft.reader.unknown(path, f"target `{target[:60]}` is no node", target[:60], known)


def _check_endless(draft: _Draft) -> None:
    """Every node must be able to reach one that waits for somebody, or the end of the call."""
    if draft.reader.problems:
        return
    before: dict[str, list[str]] = {}  # by target: the nodes that lead to it
    for key, node in draft.made.items():
        for target in _leads(draft, node):
            before.setdefault(target, []).append(key)
    todo = ["hangup", "return", *(key for key, node in draft.made.items() if isinstance(node.spec, WAITS))]
    done: set[str] = set()
    while todo:
        if (target := todo.pop()) not in done:
            done.add(target)
            todo += before.get(target, ())
    for key in draft.made.keys() - done:
        draft.reader.wrong(
            ("nodes", key), f"node `{key}` is in a loop where nobody is asked and nothing ends", of_key=True
        )


def _leads(draft: _Draft, node: Node) -> set[str]:
    """The targets of a node's ordinary ways on. What a failure leads to is no way out of a loop."""
    ways = {target for outcome, target in node.to.items() if outcome != "error"}
    if isinstance(node.spec, model.Say | model.Set):
        ways.add(node.then or node.fail or draft.defaults.get("fail", "") or "hangup")
    return ways


def _check_queues(draft: _Draft, queues: Mapping[str, QueueConfig]) -> None:
    for key, written in draft.nodes.items():
        wanted = written.get("queue") if isinstance(written, dict) and written.get("do") == "queue" else None
        if isinstance(wanted, str) and wanted not in queues:
            message = f"queue `{wanted[:60]}` is not in queues.yaml"
            draft.reader.unknown(("nodes", key, "queue"), message, wanted[:60], queues)


def _check_sounds(drafts: list[_Draft], numbers: Mapping[str, Number], settings: _Settings) -> None:
    spoken_in = model.languages(numbers.values())
    for draft in drafts if settings.sounds is not None else ():
        led = spoken_in.get(draft.name, ())
        for key, node in draft.made.items():
            speech = node.spec.speech if isinstance(node.spec, model.Say | model.Menu) else model.Speech()
            for prompt in speech.names:
                for spoken in sorted({draft.language, *led}):
                    _check_sound(draft, ("nodes", key, "play"), f"prompts/{spoken}/{prompt}.wav", settings)


def _check_sound(draft: _Draft, path: Path, file: str, settings: _Settings) -> None:
    if settings.sounds is not None and file not in settings.sounds:
        draft.reader.wrong(path, f"the prompt {file} is missing", "put a sound file there, or use `say`")


# ---------------------------------------------------------------- the other files


def _numbers(reader: Reader, drafts: list[_Draft], settings: _Settings, whole_folder: bool) -> dict[str, Number]:
    """{number as entered and as E.164: Number}"""
    read = {"numbers": lambda r, path, value: a_map(r, path, value, "`numbers`")}
    top = reader.fields((), reader.source.data, read, "numbers.yaml", ("numbers",))
    flows = {draft.name for draft in drafts}
    found: dict[str, Number] = {}
    for key, written in top.get("numbers", {}).items():
        path: Path = ("numbers", key)
        number = _number(reader, path, written)
        if whole_folder and number.flow and number.flow not in flows:
            at = (*path, "flow") if isinstance(written, dict) else path
            reader.unknown(at, f"flow `{number.flow}` is not in this folder", number.flow, flows)
        for spelling in _spellings(reader, path, key, settings.country):
            if spelling in found:
                reader.wrong(path, f"number {spelling} is there twice", of_key=True)
            found[spelling] = number
    return found


def _number(reader: Reader, path: Path, written: Any) -> Number:
    if isinstance(written, str):
        return Number(name(reader, path, written))
    known = {"flow": name, "language": language}
    return Number(**{"flow": "", **reader.fields(path, written, known, "a number", ("flow",))})


def _spellings(reader: Reader, path: Path, key: str, country: str) -> set[str]:
    bare = "".join(char for char in key if char not in " -().")
    body = bare[1:] if bare.startswith("+") else bare
    if not (body.isascii() and body.isdigit() and len(body) <= MAX_NUMBER):
        reader.wrong(path, f"`{key[:60]}` is no number", "digits, with + in front for E.164", of_key=True)
        return set()
    return {bare, to_e164(bare, country) or bare}
