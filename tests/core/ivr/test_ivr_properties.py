"""Whatever an admin may publish and a caller may do: no exception, no endless call."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.ivr.drawing import mermaid

NODES = ["n0", "n1", "n2", "n3", "n4"]
TARGETS = st.sampled_from([*NODES, *NODES, "repeat", "return", "hangup"])
EXPRESSIONS = st.sampled_from(
    [
        "plain", "{{ customer.x }}", "{{ vars.v }}", "{{ vars.v + 1 }}", "{{ n0.digits | int }}", "{{ n1.outcome }}",
        "{{ 1 // 0 }}", "{{ customer.x * 1000 }}", "{{ call.caller }}", "{{ customer.x == 'vip' }}", "{{ language }}",
    ]
)  # fmt: skip
CONDITIONS = EXPRESSIONS.filter(lambda text: text.startswith("{{"))
SPEECH = st.one_of(st.builds(dict, say=EXPRESSIONS), st.just({"play": ["hello"]}))
OUTCOMES = {
    "say": ["error"],
    "menu": ["timeout", "invalid", "error"],
    "set": ["error"],
    "branch": ["error"],
    "queue": ["answered", "timeout", "full", "no_agents", "closed", "left", "failed", "error"],
    "dial": ["answered", "busy", "no_answer", "error"],
}


@st.composite
def nodes(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from([*OUTCOMES, "hangup"]))
    if verb == "hangup":
        return {"do": "hangup"}
    wanted = draw(st.lists(st.sampled_from([*OUTCOMES[verb], "then", "fail"]), unique=True))
    node: dict[str, Any] = {"do": verb, **{outcome: draw(TARGETS) for outcome in wanted}}
    match verb:
        case "say" | "menu":
            node |= draw(SPEECH)
            if verb == "menu":
                node |= {"retries": draw(st.integers(0, 9))}
                node["options"] = draw(st.dictionaries(st.sampled_from("0129*#"), TARGETS, min_size=1))
        case "set":
            node["vars"] = {"v": draw(EXPRESSIONS)}
        case "branch":
            cases = draw(st.lists(st.tuples(CONDITIONS, TARGETS), min_size=1, max_size=3))
            node |= {"when": [{"if": test, "to": to} for test, to in cases], "else": draw(TARGETS)}
        case "queue":
            node |= {"queue": "sales", "priority": draw(CONDITIONS), "max_wait": draw(CONDITIONS)}
        case "dial":
            node["to"] = draw(st.sampled_from(["1000", "{{ customer.x }}", "{{ vars.v }}"]))
    return node


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    made = {name: draw(nodes()) for name in NODES}
    made["n4"] = {"do": "set", "vars": {"v": 1}, "then": draw(st.sampled_from(NODES[:4]))}
    flow = {"flow": "t", "language": "en", "start": draw(st.sampled_from(NODES)), "nodes": made}
    if draw(st.booleans()):
        flow["defaults"] = {"fail": draw(TARGETS)}
    return flow


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["vip", "1000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ANSWERS = st.builds(
    ivr.Answer,
    outcome=st.sampled_from(
        ["done", "digits", "digits", "timeout", "error", "answered", "full", "left", "busy", "fail", "abandoned", "?"]
    ),
    digits=st.sampled_from(["", "0", "1", "2", "9", "*", "#", "A", "11", "\x00"]),
    data=st.dictionaries(st.sampled_from(["agent", "waited"]), DATA, max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(flow=flows(), customer=st.dictionaries(st.just("x"), DATA), answers=st.lists(ANSWERS, min_size=1, max_size=40))
def test_every_call_ends_and_none_raises(
    flow: dict[str, Any], customer: dict[str, Any], answers: list[ivr.Answer]
) -> None:
    files = {"t.yaml": ivr.Source("t.yaml", flow), "queues.yaml": ivr.Source("queues.yaml", {"queues": {"sales": {}}})}
    book = ivr.load_book(files)
    if isinstance(book, list):  # a loop that can never end, which the checker must refuse
        assert all("loop" in problem.message for problem in book)
        return
    assert mermaid(book.flows["t"]).startswith("flowchart")
    context = ivr.Context(call={"caller": "+62811"}, customer=customer)
    turn = ivr.begin(book, "t", None, context)
    turns = 0
    while not isinstance(turn.action, ivr.End):
        line = msgspec.json.decode(msgspec.json.encode(turn.line), type=ivr.Line)
        again = ivr.again(book, turn.line, context)
        assert type(again.action) is type(turn.action)
        turn = ivr.proceed(book, line, answers[turns % len(answers)], context)
        turns += 1
        assert turns < 10 * (interpreter.MAX_NODES + interpreter.MAX_HOPS)
    assert turn.action.cause != interpreter.CAUSE_FAILED, "an exception inside the interpreter"
