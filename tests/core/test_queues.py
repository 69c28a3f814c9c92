from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.ladder import ladder_of
from cti.core.queues import QueueConfig, Relax, Requirement, matches, required_skills


def need(skills: object = None, **extra: object) -> Requirement:
    return required_skills(QueueConfig(name="sales", skills=skills), extra)  # type: ignore[arg-type]


def test_a_queue_without_skills_needs_the_one_named_like_it() -> None:
    assert matches(need(), {"sales": 1})
    assert not matches(need(), {"support": 9})
    assert matches(need({}), {})


@pytest.mark.parametrize(
    ("queue", "node", "able", "unable"),
    [
        ({"english": 3}, {}, {"english": 3}, {"english": 2}),
        ({"english": 1}, {"english": 3}, {"english": 3}, {"english": 2}),  # the higher level wins
        ({"english": 3}, {"english": 1}, {"english": 3}, {"english": 2}),
        ({"english": 3}, {"dutch": 2}, {"english": 3, "dutch": 2}, {"english": 3}),
        ({"english": 0}, {}, {}, None),  # 0: not needed
        (None, {"english": 2}, {"sales": 1, "english": 2}, {"english": 2}),
        ({"any": [{"english": 3}, {"dutch": 1}]}, {}, {"dutch": 1}, {"english": 2}),
        ({"vip": 1, "any": [{"english": 3}, {"dutch": 1}]}, {}, {"vip": 1, "dutch": 1}, {"dutch": 1}),
        ({"any": [{"a": 1}, {"b": 1}]}, {"any": [{"c": 1}, {"d": 1}]}, {"b": 1, "c": 1}, {"a": 1, "b": 1}),
        ({"any": [{"a": 1, "b": 1}, {"c": 1}]}, {}, {"a": 1, "b": 1}, {"a": 1}),
        ({"any": [{"a": 1}, {}]}, {}, {}, None),
    ],
)
def test_merging_and_matching(
    queue: dict[str, object] | None, node: dict[str, object], able: dict[str, int], unable: dict[str, int] | None
) -> None:
    requirement = need(queue, **node)
    hash(requirement)
    assert matches(requirement, able)
    if unable is not None:
        assert not matches(requirement, unable)


def test_relaxing_lowers_step_by_step() -> None:
    relax = (
        Relax(after=30, skills={"english": 1}),
        Relax(after=60, skills={"english": 0, "vip": 2}),
        Relax(after=90, any_agent=True),
    )
    first = {"english": 5, "any": [{"english": 4, "a": 1}, {"b": 1}]}
    steps = ladder_of(QueueConfig(name="q", skills=first, relax=relax), {}).steps
    assert [after for after, _ in steps] == [0, 30, 60, 90]
    start, lower, other, anybody = (needs for _, needs in steps)
    assert start == need(first)
    assert lower.needs == (("english", 1),)
    assert lower.any == (((("a", 1), ("english", 1)), (("b", 1),)),)
    assert other.needs == (), "what nobody asked for is not asked for now"
    assert other.any == (((("a", 1),), (("b", 1),)),)
    assert anybody == Requirement()
    assert matches(anybody, {})


@pytest.mark.parametrize(
    ("skills", "node", "step", "stays"),
    [
        ({"any": [{"english": 3}, {"dutch": 1}]}, {}, {"english": 1}, {"dutch": 1}),  # the other alternative
        ({"english": 3}, {}, {"englsh": 1}, {"english": 3}),  # a slip of the pen
        ({"english": 1}, {}, {"polish": 3}, {"english": 1}),  # that only another node asks for
        ({"english": 1}, {"polish": 2}, {"polish": 3}, {"english": 1, "polish": 2}),
    ],
)
def test_a_step_shuts_nobody_out(
    skills: dict[str, object], node: dict[str, object], step: dict[str, int], stays: dict[str, int]
) -> None:
    queue = QueueConfig(name="q", skills=skills, relax=(Relax(after=30, skills=step),))
    assert [matches(needs, stays) for _, needs in ladder_of(queue, node).steps] == [True, True]


LEVELS = st.dictionaries(st.sampled_from("abc"), st.integers(0, 4), max_size=2)
NEEDS = st.builds(
    lambda needs, ways: needs | ({"any": ways} if ways else {}), LEVELS, st.lists(LEVELS, max_size=3)
)  # fmt: skip
STEPS = st.lists(st.builds(Relax, after=st.just(1.0), skills=LEVELS, also=LEVELS), min_size=1, max_size=3)


@given(queue=NEEDS, node=NEEDS, relax=STEPS, agent=LEVELS)
def test_who_may_take_a_call_may_take_it_after_every_later_step(
    queue: dict[str, object], node: dict[str, object], relax: list[Relax], agent: dict[str, int]
) -> None:
    steps = ladder_of(QueueConfig(name="q", skills=queue, relax=tuple(relax)), node).steps
    may = [matches(needs, agent) for _, needs in steps]
    assert may == sorted(may)
