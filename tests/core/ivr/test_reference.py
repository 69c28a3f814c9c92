"""Every verb, key and outcome is explained; the page that is shipped says what the table says, with right examples."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cti.adapters.flow_yaml import parse
from cti.core.ivr.queue_source import ROUTING, queue_keys
from cti.core.ivr.reference import WORDS, key_text, keys_of, outcome_text, page
from cti.core.ivr.verbs import COMMON, VERBS

DOCS = Path(__file__).parents[3] / "docs"


def test_every_key_and_outcome_is_explained_and_no_other() -> None:
    assert list(WORDS) == list(VERBS)
    for verb, row in VERBS.items():
        assert [key for key in keys_of(verb) if not key_text(verb, key)] == [], verb
        assert [one for one in row.outcomes if not outcome_text(verb, one)] == [], verb
        assert set(WORDS[verb].keys) <= set(keys_of(verb)), verb
        assert set(WORDS[verb].outcomes) <= set(row.outcomes), verb
        assert row.fields is None or set(row.fields) <= set(WORDS[verb].result), verb


@pytest.mark.parametrize("verb", VERBS)
def test_an_example_has_only_keys_that_there_are(verb: str) -> None:
    source = parse("example.yaml", WORDS[verb].example)
    assert source.problems == ()
    ((node, written),) = source.data.items()
    assert written["do"] == verb, node
    assert set(written) <= {"do", *keys_of(verb), *VERBS[verb].outcomes, *COMMON}


def test_the_page_that_is_shipped_is_the_one_of_the_table() -> None:
    assert (DOCS / "nodes.md").read_text() == page(), "run: cti flow reference > docs/nodes.md"


def test_every_key_of_a_queue_is_explained() -> None:
    manual = (DOCS / "flows.md").read_text()
    chapter = manual[manual.index("## queues.yaml\n") : manual.index("## calendars.yaml\n")]
    told = re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE)
    assert told == [*ROUTING, *told[len(ROUTING) :]] and sorted(told[len(ROUTING) :]) == sorted(queue_keys())
