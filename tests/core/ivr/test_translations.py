"""What callers hear in another language than theirs is noted; what nobody hears, too."""

from __future__ import annotations

import pytest

from cti.core.ivr import Book, Problem, Source, load_book

TEXT = {"en": "Hi", "id": "Halo"}
CALL = {"do": "call", "flow": "sub", "then": "hangup"}


def _load(numbers: dict[str, object], **flows: dict[str, object]) -> Book | list[Problem]:
    texts = {
        name: {"flow": name, "language": "en", "start": "a", "defaults": {"fail": "hangup"}, "nodes": nodes}
        for name, nodes in flows.items()
    }
    files = {f"{name}.yaml": Source(f"{name}.yaml", text) for name, text in texts.items()}
    return load_book({**files, "numbers.yaml": Source("numbers.yaml", {"numbers": numbers})}, sounds=set())


def _notes(numbers: dict[str, object], **flows: dict[str, object]) -> list[str]:
    book = _load(numbers, **flows)
    assert isinstance(book, Book), book
    return [f"{note.file}: {note.message}" for note in book.notes]


def _say(**texts: str) -> dict[str, object]:
    return {"do": "say", "say": texts, "then": "hangup"}


@pytest.mark.parametrize("code", ["ms", "ms-MY"])
def test_texts_that_are_not_there_are_counted(code: str) -> None:
    nodes = {"a": {**_say(en="Hi", ms="Hai"), "then": "b"}, "b": {**_say(en="Ho"), "then": "c"}, "c": _say(en="Hu")}
    assert _notes({"1": {"flow": "t", "language": code}}, t=nodes) == [
        f"t.yaml: 2 of 3 texts are not there in `{code}`, `en` is heard instead: from `b` on"
    ]


def test_a_flow_that_is_called_speaks_as_the_one_that_calls_it() -> None:
    numbers = {"1": {"flow": "t", "language": "id"}}
    assert _notes(numbers, t={"a": CALL}, sub={"a": _say(en="Hi")}) == [
        "sub.yaml: 1 of 1 texts are not there in `id`, `en` is heard instead: from `a` on"
    ]
    told = _load(numbers, t={"a": CALL}, sub={"a": {"do": "say", "play": "hi", "then": "hangup"}})
    assert isinstance(told, list)
    assert [one.message for one in told] == [
        "the prompt prompts/en/hi.wav is missing", "the prompt prompts/id/hi.wav is missing",
    ]  # fmt: skip


def test_flows_that_call_each_other() -> None:
    numbers = {"1": {"flow": "t", "language": "id"}}
    back = {"a": {"do": "call", "flow": "t", "then": "hangup"}}
    assert _notes(numbers, t={"a": CALL}, sub=back) == []


def test_a_language_that_nobody_is_led_to() -> None:
    nodes = {"a": {**_say(en="Hi", xx="Ha"), "then": "b"}, "b": _say(en="Ho", xx="He", id="Hu")}
    told = "t.yaml: nobody hears `xx`: no number and no `language` node leads to it"
    found = _notes({"1": {"flow": "t", "language": "id-ID"}}, t=nodes)
    assert [one for one in found if "nobody" in one] == [told]


def test_an_expression_may_lead_to_any() -> None:
    nodes = {
        "a": {"do": "language", "language": "{{ customer.language }}", "then": "b"}, "b": _say(en="Ho", xx="He")
    }  # fmt: skip
    assert _notes({"1": "t"}, t=nodes) == []


def test_without_numbers_nobody_knows() -> None:
    assert _notes({}, t={"a": _say(en="Ho", xx="He")}) == []
