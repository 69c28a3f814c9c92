"""What was opened or closed by hand reaches the lines, whole, as it is told last."""

from __future__ import annotations

from office import Office

from cti.core.messages import CalendarsForced, Forced, decode, encode


def test_the_lines_know_what_was_told_last() -> None:
    office = Office()
    assert office.board.lines.forced == {}
    told = CalendarsForced(at=office.at, calendars={"office": Forced("closed", office.at + 60)})
    office.do(decode(encode(told)))
    assert office.board.lines.forced == {"office": Forced("closed", office.at + 60)}
    office.do(CalendarsForced(at=office.at, calendars={}))
    assert office.board.lines.forced == {}
