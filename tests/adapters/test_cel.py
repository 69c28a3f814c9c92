"""CEL read back: true times, and nothing but facts out of whatever the file holds."""

from __future__ import annotations

import csv
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.adapters import cel
from cti.adapters.cel import read_facts
from cti.core.messages import Bridged, ChannelGone, ChannelNew, ChannelUp, Fact, Unbridged

CALLER = "PJSIP/trunk-demo-00000000"
BRIDGE = '{"bridge_id":"ba59af45-2c23","bridge_technology":"simple_bridge"}'
HANGUP = '{"hangupcause":17,"hangupsource":"PJSIP/2001-00000001","dialstatus":""}'


def line(kind: str, at: float | str, uniqueid: str = "sys-1.0", extra: str = "", name: str = "王小明") -> str:
    out = io.StringIO()
    when = at if isinstance(at, str) else f"{at:.3f}"
    row = [kind, when, uniqueid, uniqueid, CALLER, "from-trunk", "6000", "+628111", name, "", extra]
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(row)
    return out.getvalue()


CALL = [
    line("CHAN_START", 1000000000.25),
    line("ANSWER", 1000000001),
    line("BRIDGE_ENTER", 1000000002, extra=BRIDGE),
    line("BRIDGE_EXIT", 1000000003, extra=BRIDGE),
    line("HANGUP", 1000000004, extra=HANGUP),
    line("CHAN_END", 1000000004),
    line("LINKEDID_END", 1000000004),
]


def facts(path: Path, text: str, since: float = 0.0) -> list[Fact]:
    path.write_bytes(text.encode())
    return list(read_facts(path, since, "n"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cti.csv"


def test_a_call(path: Path) -> None:
    who = {"node": "n", "uniqueid": "sys-1.0"}
    assert facts(path, "".join(CALL)) == [
        ChannelNew(at=1000000000.25, channel=CALLER, context="from-trunk", called="6000",
                   caller="+628111", caller_name="王小明", **who),
        ChannelUp(at=1000000001.0, **who),
        Bridged(at=1000000002.0, bridge="ba59af45-2c23", **who),
        Unbridged(at=1000000003.0, bridge="ba59af45-2c23", **who),
        ChannelGone(at=1000000004.0, cause=17, **who),
    ]  # fmt: skip


@pytest.mark.parametrize("bridged", [True, False])
def test_who_hung_up_is_known_before_the_bridge_falls_apart(path: Path, bridged: bool) -> None:
    own = HANGUP.replace("PJSIP/2001-00000001", CALLER)
    text = "".join(CALL[: 4 if bridged else 2]) + line("HANGUP", 1000000004, extra=own)
    kinds = [type(fact).__name__ for fact in facts(path, text)]
    assert kinds[-3:] == (
        ["HangupRequested", "Unbridged", "ChannelGone"] if bridged else ["ChannelUp", "HangupRequested", "ChannelGone"]
    )


def test_only_what_is_new_enough(path: Path) -> None:
    assert [f.at for f in facts(path, "".join(CALL), 1000000002.5)] == [1000000003, 1000000004]


def test_no_file_no_facts(path: Path) -> None:
    assert list(read_facts(path, 0, "n")) == []


@pytest.mark.parametrize("cut", range(1, len(CALL[4]), 7))
def test_a_last_line_that_is_cut_is_left_out(path: Path, cut: int) -> None:
    assert facts(path, "".join(CALL[:4]) + CALL[4][:cut]) == facts(path, "".join(CALL[:4]))


@pytest.mark.parametrize(
    "bad",
    [
        "garbage\n",
        "\n",
        '"HANGUP","1000000004\n',  # a quote that never closes swallows nothing
        '"HANGUP","x","u","u","","","","","","",""\n',
        '"HANGUP","1e99","u","u","","","","","","",""\n',
        '"HANGUP","1000000004.0","a b","u","","","","","","",""\n',
        '"HANGUP","1000000004.0","u"\n',
        "\x00\x00\x00\n",
        line("BRIDGE_ENTER", 1000000002, extra="{broken"),
        line("BRIDGE_ENTER", 1000000002, extra="[1]"),
        line("BRIDGE_ENTER", 1000000002, extra="[" * 100_000),
        line("BRIDGE_ENTER", 1000000002, extra='{"bridge_id":7}'),
        line("USER_DEFINED", 1000000002, extra="x'); DELETE FROM cel;--"),
    ],
)
def test_garbage_is_passed_over(path: Path, bad: str) -> None:
    good = facts(path, "".join(CALL))
    assert facts(path, bad + "".join(CALL[:3]) + bad + "".join(CALL[3:]) + bad) == good


@pytest.mark.parametrize(
    "number",
    [
        "7\nCHAN_START,1000000000,fk1,,PJSIP/zz-0000aaaa,from-trunk,6000,9,,,\n",
        '7\n"CHAN_START","1000000000","fk1","","PJSIP/zz-0000aaaa","from-trunk","6000","9","","",""\n',
        '"\n"HANGUP","1000000000","sys-1.0","","","","","","","",""\n',
        "7\nHANGUP,1000000000,sys-1.0,,,,,,,,\n",
    ],
)
def test_a_number_with_line_breaks_makes_no_rows(path: Path, number: str) -> None:
    """cel_custom doubles quotes and leaves line breaks."""
    forged = line("CHAN_START", 1000000000, uniqueid="evil-1.0").replace("+628111", number.replace('"', '""'))
    assert facts(path, "".join(CALL) + forged) == facts(path, "".join(CALL))


def test_a_cause_that_is_none_is_0(path: Path) -> None:
    (gone,) = facts(path, line("HANGUP", 1000000004, extra="{broken"))
    assert isinstance(gone, ChannelGone)
    assert gone.cause == 0


def test_a_name_with_quotes_commas_and_control_characters(path: Path) -> None:
    (new,) = facts(path, line("CHAN_START", 1000000000, name='A "b", <c>\x07'))
    assert isinstance(new, ChannelNew)
    assert new.caller_name == 'A "b", <c>'


def test_only_the_tail_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cel, "BLOCK", 1000)
    many = [line("ANSWER", 1000000000 + n, f"sys-1.{n}") for n in range(2000)]
    path.write_text("".join(many))
    asked: list[int] = []
    whole = cel._tail
    monkeypatch.setattr(cel, "_tail", lambda p, s: asked.append(len(found := whole(p, s))) or found)
    assert [f.at for f in read_facts(path, 1000001990, "n")] == [1000001990 + n for n in range(10)]
    assert asked[0] < 50
    assert len(list(read_facts(path, 0, "n"))) == 2000


def test_a_long_tail_is_read_in_a_moment(path: Path) -> None:
    """As long as the file is, each block is looked at once."""
    old, new = line("ANSWER", 1000000000), line("ANSWER", 1000000100)
    path.write_text(old + new * ((20 << 20) // len(new)))
    began = time.process_time()
    assert len(cel._tail(path, 1000000050.0)) > 150_000
    assert time.process_time() - began < 1


def test_a_rotation_while_it_is_read_hides_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.with_name("cti.csv.1").write_text(CALL[0])
    path.write_text("".join(CALL[1:3]))
    tail, texts = cel._tail, [CALL[3]]

    def rotate(one: Path, since: float) -> list[str]:
        found = tail(one, since)
        if texts:
            path.rename(path.with_name("cti.csv.1"))
            path.write_text(texts.pop())
        return found

    monkeypatch.setattr(cel, "_tail", rotate)
    assert {fact.at for fact in read_facts(path, 1000000001, "n")} >= {1000000001, 1000000002}


def test_the_file_before_the_rotation_is_read_too(path: Path) -> None:
    path.with_name("cti.csv.1").write_text("".join(CALL[:3]))
    assert len(facts(path, "".join(CALL[3:]))) == 5
    os.utime(path.with_name("cti.csv.1"), (1000000002, 1000000002))
    assert len(list(read_facts(path, 1000000003, "n"))) == 2


@given(st.binary(max_size=400))
def test_no_bytes_raise(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.mktemp("cel") / "cti.csv"
    path.write_bytes(data)
    assert list(read_facts(path, 0, "n")) == []
