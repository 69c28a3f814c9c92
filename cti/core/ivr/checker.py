"""Turns the files of a flows folder into a Book, or into every problem they have."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from cti.core.ivr import beside, model, translations, verbs
from cti.core.ivr.calendar_source import read_calendars
from cti.core.ivr.calendars import Calendar
from cti.core.ivr.expressions import Expression, Names, is_template
from cti.core.ivr.loops import check_loops, goes_on
from cti.core.ivr.model import Book, Flow, Node, Number
from cti.core.ivr.number_source import read_numbers
from cti.core.ivr.problems import Problem
from cti.core.ivr.queue_names import (
    check_calendars,
    check_relaxed,
    note_callbacks,
    note_languages,
    note_music,
    note_whispers,
    sounds_of,
)  # fmt: skip
from cti.core.ivr.queue_source import read_queues
from cti.core.ivr.readers import CALL_FIELDS, Scope, kind_of, variable_defaults
from cti.core.ivr.references import check_references
from cti.core.ivr.sounds_needed import check_sound, check_sounds
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
from cti.core.ivr.verbs import COMMON, FAILURES, VAULT, VERBS
from cti.core.queues import QueueConfig

CONFIG = ("queues.yaml", "numbers.yaml", "calendars.yaml", *beside.FILES)
RESERVED = (
    "args", "call", "customer", "vars", "language", *model.TARGETS,
    "and", "else", "false", "if", "in", "is", "loop", "none", "not", "or", "self", "true", "False", "None", "True",
)  # fmt: skip
DEFAULTS = {
    "input_timeout": duration(1, 60),
    "digit_timeout": duration(1, 60),
    "retries": whole(0, 9),
    "fail": text,
}
MAX_EXPRESSIONS = 2_000  # of a flow: each is compiled
NAMED_ONLY = frozenset({"menu", "branch", "split", "hours", "goto", "queue", "dial", "transfer", "return", "hangup"})


class _Draft(msgspec.Struct):
    """A flow being read."""

    reader: Reader
    name: str
    language: str
    start: str
    defaults: dict[str, Any]
    nodes: dict[str, Any]
    on_hangup: str = ""
    vars: dict[str, Any] = {}
    args: dict[str, Any] = {}
    to: list[tuple[Path, Any]] = []  # every target written in the file, to be checked
    made: dict[str, Node] = {}


class _Settings(msgspec.Struct, frozen=True):
    country: str
    allow: frozenset[str]
    sounds: Collection[str] | None
    scripts: Collection[str] | None
    seconds: Mapping[str, float]
    music: Collection[str] | None


def load_book(
    files: Mapping[str, Source],
    *,
    version: int = 0,
    country: str = "ID",
    allow: Iterable[str] = (),
    sounds: Collection[str] | None = None,
    scripts: Collection[str] | None = None,
    zone: str = "UTC",
    seconds: Mapping[str, float] = MappingProxyType({}),
    music: Collection[str] | None = None,
) -> Book | list[Problem]:
    """The Book, or all problems, sorted.

    `sounds`: the recorded prompts there are, as `prompts/en/hello.wav` (`seconds`: how long they last), `scripts`: as
    `stock.py`, `music`: classes that a folder has WAV files for; None: do not look.
    `zone`: the site's time zone, of calendars that name none."""
    settings = _Settings(country, frozenset(allow), sounds, scripts, seconds, music)
    readers = {file: Reader(source, kept=version > 0) for file, source in files.items()}
    sound = {file: reader for file, reader in readers.items() if reader.source.data is not None}
    drafts = [_draft(reader) for file, reader in sound.items() if file not in CONFIG]
    held = {key for draft in drafts for key in _variables(draft).fields["vars"]} if readers == sound else None
    queues, routing = read_queues(sound.get("queues.yaml"), held)
    _check_doubles(drafts)
    for draft in drafts:
        _read_nodes(draft, settings)
        _check_targets(draft)
        _check_types(draft)
        _check_ways(draft)
    check_loops(drafts)
    around = beside.read(sound)
    calendars = read_calendars(sound.get("calendars.yaml"))
    _check_queues(readers, queues, calendars, drafts)
    known: dict[str, Mapping[str, Any]] = {"queues.yaml": queues, "calendars.yaml": calendars, **around.names}
    check_references(drafts, known, {file for file in readers if file not in sound}, settings.scripts)
    args = {draft.name: draft.args for draft in drafts}
    numbers = read_numbers(sound.get("numbers.yaml"), args, country, readers == sound)
    _check_spoken(drafts, numbers, settings, around)
    _check_waiting(drafts, numbers, settings, sound.get("queues.yaml"), queues)
    if problems := told(readers.values()):
        return problems
    flows = {draft.name: _flow(draft) for draft in drafts}
    notes = sorted(note for reader in readers.values() for note in reader.notes)
    return Book(
        flows=flows, queues=queues, numbers=numbers, version=version, country=country, allow=settings.allow,
        notes=tuple(notes), calendars=calendars, zone=zone, statements=around.statements, boxes=around.boxes,
        surveys=around.surveys, phrases=around.phrases, routing=routing,
    )  # fmt: skip


def _check_queues(
    readers: Mapping[str, Reader], queues: Mapping[str, QueueConfig], calendars: Mapping[str, Calendar],
    drafts: Sequence[_Draft],
) -> None:  # fmt: skip
    """What queues say of calendars, and of skills that nodes ask for: as far as those could be read."""
    reader = readers.get("queues.yaml")
    if reader is None or reader.source.data is None:
        return
    if "calendars.yaml" not in readers or readers["calendars.yaml"].source.data is not None:
        check_calendars(reader, queues, calendars)
    if not any(one.problems for one in readers.values()):
        check_relaxed(reader, queues, [node for draft in drafts for node in draft.made.values()])


def _flow(draft: _Draft) -> Flow:
    fail = draft.defaults.get("fail", "")
    return Flow(
        draft.name, draft.language, draft.start, draft.made, fail, draft.reader.source.file, draft.on_hangup,
        draft.vars, draft.args,
    )  # fmt: skip


# ---------------------------------------------------------------- one flow


def _draft(reader: Reader) -> _Draft:
    known = {
        "flow": name,
        "language": language,
        "defaults": lambda r, path, value: r.fields(path, value, DEFAULTS, "`defaults`"),
        "start": text,
        "nodes": lambda r, path, value: a_map(r, path, value, "`nodes`"),
        "on_hangup": text,
        "vars": variable_defaults(of_args=False),
        "args": variable_defaults(of_args=True),
        "note": text,
    }
    found = reader.fields((), reader.source.data, known, "a flow", ("flow", "language", "start", "nodes"))
    draft = _Draft(
        reader=reader,
        name=found.get("flow", ""),
        language=found.get("language", ""),
        start=found.get("start", ""),
        defaults=found.get("defaults", {}),
        nodes=found.get("nodes", {}),
        on_hangup=found.get("on_hangup", ""),
        vars=found.get("vars", {}),
        args=found.get("args", {}),
    )
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
    secret = [key for key, node in draft.nodes.items() if isinstance(node, dict) and node.get("secret") is True]
    scope = Scope(draft.language, draft.defaults, names, settings.country, settings.allow, secret)
    verbs_used = [node.get("do") for node in draft.nodes.values() if isinstance(node, dict)]
    for key in secret:
        if key in VAULT and VAULT[key] in verbs_used:
            message = f"`{key}` are secret digits of `{VAULT[key]}` already"
            draft.reader.wrong(("nodes", key), message, "give this node another name", of_key=True)
    if _expressions(draft.nodes) > MAX_EXPRESSIONS:
        draft.reader.wrong(("nodes",), f"a flow has at most {MAX_EXPRESSIONS} texts with `{{{{ }}}}`", of_key=True)
        return
    for key, written in draft.nodes.items():
        path: Path = ("nodes", key)
        name(draft.reader, path, key, of_key=True)
        if key in RESERVED:
            draft.reader.wrong(path, f"a node cannot be called `{key}`", of_key=True)
        if "-" in key and (other := key.replace("-", "_")) in draft.nodes:
            draft.reader.wrong(path, f"`{key}` and `{other}` would be the same in expressions", of_key=True)
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
    """What the expressions of a flow may use: `vars` are those that it declares or some node of it sets."""
    nodes = {key: node for key, node in draft.nodes.items() if isinstance(node, dict)}
    wanted = [node.get("vars") for node in nodes.values() if node.get("do") == "set"]
    held = {key for one in (draft.vars, *wanted) if isinstance(one, dict) for key in one}
    results = {key.replace("-", "_"): _result_fields(node) for key, node in nodes.items()}
    known = {"args", "call", "customer", "vars", "language", *results}
    told = {key: fields for key, fields in results.items() if fields is not None}
    return Names(known, {**told, "call": CALL_FIELDS, "vars": held, "args": draft.args})


def _result_fields(node: dict[str, Any]) -> tuple[str, ...] | None:
    """What the result of a node holds; None: not known."""
    verb = VERBS.get(node["do"]) if isinstance(node.get("do"), str) else None
    if verb is None or verb.fields is None:
        return None
    if node.get("secret") is True:  # an expression never sees them
        return ("outcome",)
    asked_for = node.get("get") if node["do"] == "http" else None
    return ("outcome", *verb.fields, *(asked_for if isinstance(asked_for, dict) else ()))


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
    targets = COMMON if not verb.ends else ("fail",) if verb.outcomes else ()
    known = {
        **dict.fromkeys((*verb.outcomes, *targets), lambda _reader, at, value: (at, value)),
        **verb.keys(scope),
        "do": lambda _reader, _path, value: value,
        "note": text,
    }
    found = reader.fields(path, written, known, f"a {written['do']} node", verb.needed)
    if verb.one_of and not any(word in written for word in verb.one_of):
        reader.wrong(path, f"a {written['do']} node needs {' or '.join(f'`{w}`' for w in verb.one_of)}", of_key=True)
    if verb.check is not None:
        verb.check(reader, path, found)
    to = _outcomes(found, (*verb.outcomes, *targets))
    draft.to += to.values()
    if len(reader.problems) > before:
        return None
    led = {outcome: str(target) for outcome, (_, target) in to.items()}
    then, fail = led.pop("then", ""), led.pop("fail", "")
    return Node(key, written["do"], verb.build(scope, found), led, then, fail, FAILURES if verb.strict else ())


def _outcomes(found: Mapping[str, Any], named: Iterable[str]) -> dict[str, tuple[Path, Any]]:
    """Every outcome with the target written for it: those of keys, of menu options and of conditions."""
    to: dict[str, tuple[Path, Any]] = {word: found[word] for word in named if isinstance(found.get(word), tuple)}
    to.update(found.get("options", {}))
    to.update(found.get("outcomes", {}))
    listed = found.get("when") or found.get("shares") or []
    to.update({str(at): case["to"] for at, case in enumerate(listed, 1) if "to" in case})
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
    if draft.on_hangup:
        _check_target(draft, ("on_hangup",), draft.on_hangup, draft.nodes)
        _check_silent(draft)


def _check_target(draft: _Draft, path: Path, target: Any, known: Collection[str]) -> None:
    if not isinstance(target, str):
        draft.reader.wrong(path, f"`{path[-1]}` must be a node or one of {', '.join(model.TARGETS)}")
    elif target not in known:
        draft.reader.unknown(path, f"target `{target[:60]}` is no node", target[:60], known)


def _check_silent(draft: _Draft) -> None:
    """Nobody is there any more to hear anything: what follows `on_hangup` must not speak, ask or wait."""
    for key, node in _reached(draft, draft.on_hangup).items():
        if not isinstance(node.spec, model.SILENT):
            message = f"`{node.verb}` needs a caller, and `on_hangup` leads here when he is gone"
            draft.reader.wrong(("nodes", key, "do"), message)


def _check_types(draft: _Draft) -> None:
    """A variable keeps the type that its flow gives it at first."""
    for key, node in draft.made.items():
        for word, value in node.spec.vars.items() if isinstance(node.spec, model.Set) else ():
            wanted = kind_of(draft.vars.get(word, value))
            if not isinstance(value, Expression) and kind_of(value) != wanted:
                draft.reader.wrong(("nodes", key, "vars", word), f"`{word}` is a {wanted}, see `vars` of the flow")


def _check_ways(draft: _Draft) -> None:
    """Every node should be reached, and say where it goes when all went well."""
    if draft.reader.problems:
        return
    note_callbacks(draft.reader, draft.made)
    reached = _reached(draft, draft.start, draft.on_hangup, draft.defaults.get("fail", ""))
    for key, node in draft.made.items():
        if key not in reached:
            draft.reader.note(("nodes", key), f"nothing leads to node `{key}`")
        elif node.verb in NAMED_ONLY or node.then or node.fail or draft.defaults.get("fail"):
            continue
        elif goes_on(node):
            draft.reader.note(("nodes", key), f"node `{key}` names no `then`: after it the call ends")


def _reached(draft: _Draft, *starts: str) -> dict[str, Node]:
    """The nodes that some way leads to from these, failures included."""
    todo, reached = list(starts), dict[str, Node]()
    while todo:
        key = todo.pop()
        if key in draft.made and key not in reached:
            node = reached[key] = draft.made[key]
            todo += [*node.to.values(), node.then, node.fail]
    return reached


def _check_spoken(
    drafts: list[_Draft], numbers: Mapping[str, Number], settings: _Settings, around: beside.Beside
) -> None:
    flows = [_flow(draft) for draft in drafts]
    spoken_in = model.languages(flows, numbers.values())
    if settings.sounds is not None:
        check_sounds(drafts, spoken_in, settings.sounds, around)
    if numbers:
        any_language = any(isinstance(held, Expression) for flow in flows for held in model.chosen(flow))
        led_to = {code for spoken in spoken_in.values() for code in spoken}
        for draft, flow in zip(drafts, flows, strict=True):
            translations.note(draft.reader, flow, spoken_in[draft.name], None if any_language else led_to)


def _check_waiting(
    drafts: list[_Draft], numbers: Mapping[str, Number], settings: _Settings, reader: Reader | None,
    queues: Mapping[str, QueueConfig],
) -> None:  # fmt: skip
    """What queues say to those who wait, in every language they may speak."""
    if reader is None:
        return
    flows = [_flow(draft) for draft in drafts]
    spoken_in = model.waited_in(flows, model.languages(flows, numbers.values()))
    for path, code, prompt in sounds_of(queues, spoken_in) if settings.sounds is not None else ():
        check_sound(reader, path, code, prompt, settings.sounds or ())
    note_languages(reader, queues, spoken_in)
    note_whispers(reader, queues, spoken_in, settings.seconds)
    if settings.music is not None:
        note_music(reader, queues, settings.music)
