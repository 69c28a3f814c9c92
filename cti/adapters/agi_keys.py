"""Keys: what the caller has pressed and nobody has taken yet, and the answer to one question. Pure."""

from __future__ import annotations

from cti.core.messages import Collect

LATE = 2.0  # s in which the terminator still belongs to an answer that was full without it


class Ahead:
    """The keys that wait for the next question: callers who know the menu dial ahead.

    After a sealed answer that ended without its terminator, what comes may be more of the same: until the next sealed
    question it is dropped, so that no part of a card ever becomes the digits of an open one. Who presses the terminator
    although the last digit was enough has answered nothing else by it. `at`: seconds of any clock that runs."""

    def __init__(self) -> None:
        self._keys = ""
        self._old = 0  # so many of them were pressed before the last words began, or answered too much
        self._guarded = False
        self._late = ""
        self._until = 0.0

    def __bool__(self) -> bool:
        return bool(self._keys)

    def add(self, key: str, at: float) -> None:
        late, self._late = self._late if at < self._until else "", "" if key else self._late
        if key != late or not key:
            self._keys += key

    def take(self) -> str:
        """The oldest, or nothing."""
        key, self._keys = self._keys[:1], self._keys[1:]
        self._old = max(0, self._old - 1)
        return key

    def drop(self) -> None:
        self._keys, self._old = "", 0

    def drop_old(self) -> None:
        """Keep those alone that were pressed while the last words were spoken."""
        self._keys, self._old = self._keys[self._old :], 0

    def before(self, question: Collect | None) -> None:
        """A question, or something else that is spoken, begins."""
        if (question is not None and question.fresh) or (self._guarded and not (question and question.seal)):
            self.drop()
        if question is not None:
            self._guarded = False
        self._old = len(self._keys)

    def after(self, question: Collect, answer: Answer, at: float) -> None:
        self._guarded = bool(question.seal) and not answer.ended
        full = question.most > 1 and answer.complete and not answer.ended
        self._late, self._until = (question.terminator or "#") if full else "", at + LATE
        if self._keys:
            self._keys, first = self._keys[1:], self._keys[0]
            self._keys = ("" if first == self._late else first) + self._keys
            self._late = ""
        self._old = len(self._keys)


class Answer:
    """Takes keys until `complete`: as many as were asked for, or the terminator."""

    def __init__(self, question: Collect) -> None:
        self._question = question
        self.digits = ""
        self.ended = False  # by the terminator

    @property
    def complete(self) -> bool:
        return self.ended or len(self.digits) >= self._question.most

    @property
    def wait(self) -> float:
        """Seconds until the next key must come."""
        return self._question.digit_timeout if self.digits else self._question.timeout

    @property
    def given(self) -> bool:
        """Whether it is one: with nothing before it the terminator is, where nothing is enough."""
        return bool(self.digits) or (self.ended and self._question.least == 0)

    def add(self, key: str) -> None:
        if self._question.terminator and key == self._question.terminator:
            self.ended = True
        else:
            self.digits += key
