"""Keys pressed ahead, and what belongs to which question."""

from __future__ import annotations

import pytest

from cti.adapters.agi_keys import LATE, Ahead, Answer
from cti.core.messages import Collect


def question(most: int = 4, **more: object) -> Collect:
    return Collect(uniqueid="u", op=1, prompts=(), timeout=5.0, most=most, **more)  # type: ignore[arg-type]


def answered(ahead: Ahead, asked: Collect, keys: str, at: float = 0.0) -> str:
    """What the question takes of these keys, pressed at once."""
    for key in keys:
        ahead.add(key, at)
    ahead.before(asked)
    answer = Answer(asked)
    while not answer.complete and (key := ahead.take()):
        answer.add(key)
    ahead.after(asked, answer, at)
    return answer.digits


@pytest.mark.parametrize("terminator", ["#", "*", ""])
def test_a_terminator_after_a_full_answer_answers_nothing_else(terminator: str) -> None:
    key, ahead = terminator or "#", Ahead()
    assert answered(ahead, question(terminator=terminator), f"1234{key}5") == "1234"
    assert ahead.take() == "5", "pressed in one go"
    assert answered(ahead, question(terminator=terminator), "1234") == "1234"
    ahead.add(key, LATE - 0.1)
    assert not ahead, "pressed a moment later"
    ahead.add(key, LATE - 0.1)
    assert ahead.take() == key, "the second one is meant"


def test_later_or_after_another_key_it_is_a_key_like_any_other() -> None:
    ahead = Ahead()
    assert answered(ahead, question(terminator="#"), "1234") == "1234"
    ahead.add("#", LATE + 0.1)
    assert ahead.take() == "#"
    assert answered(ahead, question(terminator="#"), "1234") == "1234"
    ahead.add("", 0.1)
    ahead.add("1", 0.2)
    ahead.add("#", 0.3)
    assert (ahead.take(), ahead.take()) == ("1", "#")


def test_after_a_menu_or_a_terminator_there_is_none_to_come() -> None:
    ahead = Ahead()
    assert answered(ahead, question(most=1), "1#") == "1"
    assert ahead.take() == "#"
    assert answered(ahead, question(terminator="#"), "12##") == "12"
    assert ahead.take() == "#"


def test_over_music_those_keys_count_that_were_pressed_during_the_last_words() -> None:
    ahead = Ahead()
    ahead.add("1", 0.0)
    ahead.before(None)
    ahead.add("2", 0.1)
    ahead.drop_old()
    assert (ahead.take(), ahead.take()) == ("2", "")
    ahead.drop_old()
    ahead.add("3", 0.2)
    assert ahead.take() == "3", "pressed after it began"


def test_what_answered_too_much_does_not_count_over_music() -> None:
    ahead = Ahead()
    assert answered(ahead, question(most=1), "11") == "1"
    ahead.drop_old()
    assert not ahead, "pressed twice"
    assert answered(ahead, question(most=1), "12") == "1"
    ahead.before(None)
    ahead.add("3", 0.0)
    assert ahead.take() == "2"
    ahead.drop_old()
    assert ahead.take() == "3"
