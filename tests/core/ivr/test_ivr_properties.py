"""Whatever an admin may publish and a caller may do: no exception, no endless call."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.ivr.drawing import mermaid
from cti.core.ivr.verbs import VERBS
from cti.core.messages import Sealed

NODES = ["n0", "n1", "n2", "n3", "n4"]
TARGETS = st.sampled_from([*NODES, *NODES, "repeat", "return", "hangup"])
EXPRESSIONS = st.sampled_from(
    [
        "plain", "{{ customer.x }}", "{{ vars.v }}", "{{ vars.v + 1 }}", "{{ n1.outcome }}", "{{ n4.outcome }}",
        "{{ 1 // 0 }}", "{{ customer.x * 1000 }}", "{{ call.caller }}", "{{ customer.x == 'vip' }}", "{{ language }}",
        "{{ customer.x | money('IDR') }}", "{{ customer.x | date }}", "{{ call.at | time }}",
    ]
)  # fmt: skip
CONDITIONS = EXPRESSIONS.filter(lambda text: text.startswith("{{"))
SPEECH = st.one_of(st.builds(dict, say=EXPRESSIONS), st.just({"play": ["hello"]}))
MAPS = st.dictionaries(st.sampled_from(["a", "b"]), EXPRESSIONS | st.integers() | st.booleans(), max_size=2)
GIVEN = MAPS | st.just({"a": {"digits": "n4"}, "b": {"secret": "crm"}})
RETRIES = st.fixed_dictionaries({"retries": st.integers(0, 9)})


def a(**keys: Any) -> st.SearchStrategy[dict[str, Any]]:
    """A map of these keys; what is no strategy is a constant."""
    made = {name: one if isinstance(one, st.SearchStrategy) else st.just(one) for name, one in keys.items()}
    return st.fixed_dictionaries(made)


def joined(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda maps: {key: value for one in maps for key, value in one.items()})


ASKED = st.sampled_from(
    [{"kind": "date"}, {"kind": "phone"}, {"kind": "amount"}, {"length": "2-4", "match": "[0-9]{2}"}]
)  # fmt: skip
CASES = st.lists(a(**{"if": CONDITIONS, "to": TARGETS}), min_size=1, max_size=3)
SHARES = st.lists(a(percent=st.integers(1, 30), to=TARGETS), min_size=1, max_size=3)
KEYS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "say": SPEECH,
    "menu": joined(SPEECH, RETRIES, a(options=st.dictionaries(st.sampled_from("0129*#"), TARGETS, min_size=1))),
    "ask": joined(SPEECH, RETRIES, ASKED, a(confirm=st.booleans())),
    "language": a(language=CONDITIONS),
    "record": joined(SPEECH, a(max="20s")),
    "wait": a(time="10s", music=st.booleans()),
    "branch": joined(a(when=CASES), a(**{"else": TARGETS})),
    "split": joined(a(shares=SHARES), a(**{"else": TARGETS})),
    "set": a(vars=a(v=EXPRESSIONS)),
    "goto": a(to=TARGETS, times=st.integers(1, 20)),
    "lookup": st.one_of(
        st.just({}), a(customer_id=CONDITIONS), a(query="orders", **{"with": a(ref=CONDITIONS)}, many=st.booleans())
    ),
    "http": a(url="https://example.com/{{ customer.x }}", method="POST", json=GIVEN, get=a(x="/x")),
    "script": a(run="a.py", args=GIVEN, outcomes=st.dictionaries(st.just("maybe"), TARGETS)),
    "event": a(event="seen", data=MAPS),
    "message": a(webhook="crm", body=GIVEN),
    "queue": a(queue="sales", priority=CONDITIONS, max_wait=CONDITIONS),
    "dial": a(to=st.sampled_from(["1000", "{{ customer.x }}", "{{ vars.v }}"])),
    "callback": joined(RETRIES, a(queue="sales", number=CONDITIONS, ask=st.booleans())),
    "voicemail": a(box="main"),
    "transfer": a(flow=st.sampled_from(["t", "sub"]), args=a(x=EXPRESSIONS)),
    "survey": joined(RETRIES, a(survey="after")),
    "pay": joined(RETRIES, a(amount=CONDITIONS | st.just(5), currency="IDR")),
    "authenticate": joined(RETRIES, a(customer_id=CONDITIONS)),
    "call": a(
        flow=st.sampled_from(["t", "sub"]), args=a(x=EXPRESSIONS), outcomes=st.dictionaries(st.just("ok"), TARGETS)
    ),
    "return": a(outcome="ok", values=MAPS),
    "hangup": st.just({}),
}  # fmt: skip


@st.composite
def nodes(draw: st.DrawFn) -> dict[str, Any]:
    verb = draw(st.sampled_from(sorted(KEYS)))
    row = VERBS[verb]
    own = {"yes", "no"} if verb == "ask" else {"to", "else"}
    named = [*(one for one in row.outcomes if one not in own), *([] if row.ends else ["then", "fail"])]
    wanted = draw(st.lists(st.sampled_from(named), unique=True)) if named else []
    return {"do": verb, **{outcome: draw(TARGETS) for outcome in wanted}, **draw(KEYS[verb])}


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    made = {name: draw(nodes()) for name in NODES}
    made["n4"] = {"do": "ask", "say": "x", "secret": True, "then": draw(st.sampled_from(NODES[:4]))}
    made["n5"] = {"do": "set", "vars": {"v": 1}, "then": "n6"}
    made["n6"] = {"do": "return", "outcome": "ok"}
    made["n7"] = {"do": "message", "webhook": "crm", "then": draw(st.sampled_from(["n5", "n8", "hangup"]))}
    made["n8"] = {"do": "branch", "when": [{"if": "{{ vars.v == 1 }}", "to": "n5"}], "else": "hangup"}
    flow = {
        "flow": "t", "language": "en", "start": draw(st.sampled_from(NODES)), "nodes": made, "args": {"x": 1},
    }  # fmt: skip
    if draw(st.booleans()):
        flow["defaults"] = {"fail": draw(TARGETS)}
    if draw(st.booleans()):
        flow["on_hangup"] = "n7"
    return flow


SUB = {
    "flow": "sub", "language": "en", "start": "ask", "args": {"x": 1},
    "nodes": {
        "ask": {"do": "menu", "say": "x", "options": {"1": "good", "2": "back"}},
        "good": {"do": "return", "outcome": "ok", "values": {"x": "{{ args.x }}"}},
        "back": {"do": "call", "flow": "t"},
    },
}  # fmt: skip
BESIDE = {
    "sub.yaml": SUB,
    "queues.yaml": {"queues": {"sales": {}}},
    "lookups.yaml": {"lookups": {"orders": {"sql": "select status from orders where reference = :ref"}}},
    "voicemail.yaml": {"boxes": {"main": {"say": "hello"}}},
    "surveys.yaml": {
        "surveys": {"after": {"questions": {"q1": {"say": "x", "keys": "1-5"}, "q2": {"say": "y", "keys": "12"}}}}
    },
}  # fmt: skip
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(["vip", "1000"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
OUTCOMES = [
    "done", "digits", "digits", "timeout", "error", "answered", "full", "left", "busy", "fail", "abandoned", "?",
    "found", "none", "several", "declined", "wrong", "locked", "maybe", "ok",
]  # fmt: skip
ANSWERS = st.builds(
    ivr.Answer,
    outcome=st.sampled_from(OUTCOMES),
    digits=st.sampled_from(["", "0", "1", "2", "9", "*", "#", "A", "11", "\x00", "31122026", "0812345678", "12*50"]),
    sealed=st.none() | st.builds(Sealed, length=st.integers(0, 20), good=st.booleans()),
    data=st.dictionaries(st.sampled_from(["agent", "waited", "outcome", "here", "self"]), DATA, max_size=2)
    | st.fixed_dictionaries({"recording_id": st.just("r"), "seconds": st.floats(0, 100)}),
)


# Of one node: a question with 5 retries of each kind, every answer of which is confirmed, and thanks.
MOST_TURNS = 2 * 2 * (5 + 1) + 1


@settings(max_examples=150, deadline=None)
@given(flow=flows(), customer=st.dictionaries(st.just("x"), DATA), answers=st.lists(ANSWERS, min_size=1, max_size=40))
def test_every_call_ends_and_none_raises(
    flow: dict[str, Any], customer: dict[str, Any], answers: list[ivr.Answer]
) -> None:
    files = {"t.yaml": flow, **BESIDE}
    book = ivr.load_book({name: ivr.Source(name, data) for name, data in files.items()})
    if isinstance(book, list):  # a loop that can never end, which the checker must refuse
        assert all("loop" in problem.message for problem in book), book
        return
    assert mermaid(book.flows["t"]).startswith("flowchart")
    context = ivr.Context(call={"caller": "+62811"}, customer=customer)
    turn = ivr.begin(book, "t", None, context)
    turns = 0
    while not isinstance(turn.action, ivr.End):
        line = msgspec.json.decode(msgspec.json.encode(turn.line), type=ivr.Line)
        assert ivr.again(book, line, context).action is not None
        _leave(book, line, context)
        turn = ivr.proceed(book, line, answers[turns % len(answers)], context)
        turns += 1
        assert turns < MOST_TURNS * (interpreter.MAX_NODES + interpreter.MAX_HOPS)
    assert turn.action.cause != interpreter.CAUSE_FAILED, "an exception inside the interpreter"


def _leave(book: ivr.Book, line: ivr.Line, context: ivr.Context) -> None:
    """Whenever he hangs up: what is done without him is silent, and ends."""
    turn = ivr.hung_up(book, line, context)
    for _ in range(interpreter.MAX_HOPS + 1):
        if isinstance(turn.action, ivr.End):
            break
        assert isinstance(turn.action, ivr.Task)
        turn = ivr.proceed(book, turn.line, ivr.Answer("done"), context)
    assert isinstance(turn.action, ivr.End)
    assert turn.action.cause != interpreter.CAUSE_FAILED
