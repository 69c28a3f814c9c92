"""Whatever stands in the files: problems, never an exception."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cti.core.ivr import Book, Problem, Source, load_book
from cti.core.ivr.beside import FILES
from cti.core.ivr.expressions import Names
from cti.core.ivr.readers import Scope
from cti.core.ivr.verbs import COMMON, VERBS

SCOPE = Scope("en", {}, Names((), {}), "ID", ())
WORDS = st.sampled_from(
    ["a", "b", "hangup", "return", "sub", "t", "orders", "main", "after", "sales", "en", "{{ vars.x }}", "{{ a.x",
     "5s", "4-8", "1", "#", "digits", "", "\x00", "https://a.example/{{ 1 }}",
     "[0-9]{2,3}", "secret", "IDR", "stock.py", "/x"]
)  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers(-3, 200) | st.floats() | WORDS | st.text(max_size=5)
KEYS = WORDS | st.sampled_from(["digits", "say", "percent", "to", "if", "sql", "keys", "questions", "any", "do"])
ANYTHING = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)


@st.composite
def nodes(draw: st.DrawFn) -> Any:
    verb = draw(st.sampled_from(sorted(VERBS)))
    row = VERBS[verb]
    keys = [*row.keys(SCOPE), *row.outcomes, *COMMON, "secret", "args", "vars", "outcome"]
    wanted = draw(st.lists(st.sampled_from(keys), unique=True, max_size=6))
    node = {"do": verb, **{key: draw(ANYTHING) for key in {*wanted, *row.needed}}}
    return draw(st.sampled_from([node, {**node, "do": draw(ANYTHING)}, draw(ANYTHING)]))


FLOW = st.fixed_dictionaries(
    {"flow": st.sampled_from(["t", "sub"]), "language": st.just("en"), "start": st.just("a")},
    optional={"vars": ANYTHING, "args": ANYTHING, "on_hangup": WORDS, "defaults": ANYTHING, "note": ANYTHING},
)
TOPS = {"lookups.yaml": "lookups", "voicemail.yaml": "boxes", "surveys.yaml": "surveys", "phrases.yaml": "phrases"}


@settings(max_examples=300, deadline=None)
@given(
    flow=FLOW | ANYTHING,
    made=st.dictionaries(st.sampled_from(["a", "b", "a-b", "a_b", "pin"]), nodes(), max_size=4),
    beside=st.dictionaries(st.sampled_from(FILES), ANYTHING, max_size=4),
    sub=ANYTHING,
)
def test_nonsense_is_told_and_never_raises(flow: Any, made: dict[str, Any], beside: dict[str, Any], sub: Any) -> None:
    if isinstance(flow, dict):
        flow = {**flow, "nodes": made}
    files = {"t.yaml": flow, "sub.yaml": sub, "queues.yaml": {"queues": {"sales": {}}}}
    files |= {file: {TOPS[file]: held} for file, held in beside.items()}
    made_of = load_book({file: Source(file, data) for file, data in files.items()}, scripts={"stock.py"}, sounds=set())
    assert isinstance(made_of, Book) or (made_of and all(isinstance(problem, Problem) for problem in made_of))
