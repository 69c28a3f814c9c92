"""Who meets the canary: a fair share, always the same callers, and more of them when it grows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.core.ivr.shares import Serving

CALLERS = [f"+62812{number:07}" for number in range(4000)]


@pytest.mark.parametrize("share", [1, 10, 50, 99])
def test_a_share_is_as_large_as_it_says(share: int) -> None:
    serving = Serving(1, 2, share)
    met = sum(serving.version_for(caller, "") == 2 for caller in CALLERS)
    assert abs(met / len(CALLERS) * 100 - share) < 3


@given(st.text(), st.text(), st.integers(1, 98))
def test_a_caller_meets_the_same_version_and_stays_when_the_share_grows(caller: str, call: str, share: int) -> None:
    version = Serving(1, 2, share).version_for(caller, call)
    assert version == Serving(1, 2, share).version_for(caller, call)
    assert caller == "" or version == Serving(1, 2, share).version_for(caller, f"{call}-next")
    if version == 2:
        assert Serving(1, 2, share + 1).version_for(caller, call) == 2


def test_one_who_withholds_his_number_is_drawn_with_each_call() -> None:
    serving = Serving(1, 2, 50)
    assert {serving.version_for("", f"call {number}") for number in range(40)} == {1, 2}


def test_another_canary_tries_other_callers() -> None:
    first, second = ({c for c in CALLERS if Serving(1, n, 10).version_for(c, "") == n} for n in (2, 3))
    assert len(first & second) < len(first) / 2


def test_without_a_canary_everybody_meets_the_live_one() -> None:
    assert {Serving(7).version_for(caller, "") for caller in CALLERS} == {7}


@pytest.mark.parametrize(("before", "version", "share", "after"), [
    (Serving(), 1, 100, Serving(1)),
    (Serving(1), 2, 10, Serving(1, 2, 10)),
    (Serving(1, 2, 10), 2, 30, Serving(1, 2, 30)),
    (Serving(1, 2, 10), 3, 20, Serving(1, 3, 20)),
    (Serving(1, 2, 10), 2, 100, Serving(2)),
    (Serving(1, 2, 10), 3, 100, Serving(3, 2, 10)),
    (Serving(1, 2, 10), 2, 0, Serving(1)),
    (Serving(1, 2, 10), 9, 0, Serving(1, 2, 10)),
])  # fmt: skip
def test_what_is_told_of_a_version(before: Serving, version: int, share: int, after: Serving) -> None:
    assert before.told(version, share) == after
