"""The encoder: nothing but exact forms leaves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.adapters import ami_actions
from cti.core.messages import Ring

PEER = "PJSIP/trunk-demo-00000000"


def ring(**change: Any) -> Ring:
    values: dict[str, Any] = {
        "channel_id": "cti-1-0", "call_id": "call-1", "endpoint": "2001", "peer": PEER, "timeout": 15.0,
        "caller": "+62811", "caller_name": "王小明", "recording_id": "rec-1",
    } | change  # fmt: skip
    return Ring(**values)


def test_ring_is_one_asynchronous_originate() -> None:
    lines = ami_actions.ring(ring(), "a-1").decode().split("\r\n")
    assert lines == [
        "Action: Originate", "ActionID: a-1", "Channel: PJSIP/2001", "Context: agent", "Exten: s",
        "Priority: 1", "ChannelId: cti-1-0", "Timeout: 15000", 'CallerID: "王小明" <+62811>',
        "Account: call-1", f"Variable: CTI_PEER={PEER}", "Variable: CTI_CALL=call-1",
        "Variable: CTI_RECORDING=rec-1", "Async: true", "", "",
    ]  # fmt: skip


def test_a_peer_for_whom_nothing_is_left_is_hung_up_with_it() -> None:
    assert b"CTI_BRIDGE" not in ami_actions.ring(ring(), "a")
    assert b"\r\nVariable: CTI_BRIDGE=x\r\n" in ami_actions.ring(ring(final=True), "a")


@pytest.mark.parametrize(
    "endpoint",
    ["2001", "2001-web", "+628123456@carrier", "0812345@trunk-demo", "0812345@trunk-sip.carrier.com",
     f"0812345@trunk-{'1' * 40}"],
)  # fmt: skip
def test_endpoints_of_ours(endpoint: str) -> None:
    assert f"Channel: PJSIP/{endpoint}\r\n".encode() in ami_actions.ring(ring(endpoint=endpoint), "a")


@pytest.mark.parametrize(
    "change",
    [
        {"caller_name": "Bob\r\n\r\nAction: Command\r\nCommand: core stop now\r\n\r\n"},
        {"caller_name": "Bob\rX"},
        {"caller_name": "Bob\nX"},
        {"caller_name": "Bob\x00X"},
        {"caller": "1\r\nVariable: A=1"},
        {"caller": "1> <2"},
        {"endpoint": "100&PJSIP/trunk/0088213456789"},
        {"endpoint": "2001&2002"},
        {"endpoint": "trunk/sip:0088213456789@evil.example"},
        {"endpoint": "2001\n"},
        {"endpoint": "Local/s@agent"},
        {"endpoint": ""},
        {"endpoint": "٢٠٠١"},
        {"peer": "/.*/"},
        {"peer": f"{PEER},CTI_ROLE=supervisor"},
        {"peer": "${SHELL(id)}"},
        {"call_id": "a,CTI_ROLE=supervisor"},
        {"call_id": "a\r\nX: 1"},
        {"recording_id": "../../etc/x"},
        {"recording_id": "a;b"},
        {"channel_id": "u" * 150},
        {"channel_id": ""},
        {"timeout": -1},
        {"timeout": 0.999},
        {"timeout": 120.1},
        {"timeout": float("nan")},
    ],
)
def test_ring_refuses(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        ami_actions.ring(ring(**change), "a-1")


@pytest.mark.parametrize(
    "channel", ["/.*/", "/^PJSIP/", "", "PJSIP/trunk", "all", "PJSIP/a-00000000\r\nX: 1", "PJSIP/a&b-00000000"]
)
def test_hang_up_takes_exactly_one_channel(channel: str) -> None:
    with pytest.raises(ValueError):
        ami_actions.hang_up(channel, 16, "a")


@pytest.mark.parametrize("cause", [0, -1, 128])
def test_hang_up_refuses_an_odd_cause(cause: int) -> None:
    with pytest.raises(ValueError):
        ami_actions.hang_up(PEER, cause, "a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CTI_NAME", "Smith"),
        ("__SIPADDHEADER01", "X-Evil: 1"),
        ("EXEC_COMMAND", "rm -rf /"),
        ("PJSIP_HEADER(add,X-A)", "1"),
        ("CTI_PEER", "Smith,CTI_ROLE=supervisor"),
        ("CTI_PEER", "a\r\nRoute: <sip:evil>"),
        ("CTI_CALL", "${SHELL(id)}"),
    ],
)
def test_variables_off_the_list_or_of_odd_form_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        ami_actions.variable(name, value)


def test_a_name_on_the_display_is_plain_text() -> None:
    shown = ami_actions.caller_id('A"<sip:x>\\,;\u2028\x07 王小明' + "y" * 100, "100")
    name, _, number = shown.rpartition(" ")
    assert number == "<100>"
    assert name == '"' + ("Asip:x 王小明" + "y" * 100)[:60] + '"'


@pytest.mark.parametrize(
    "headers", [[("A", "x" * 1100)], [("A B", "x")], [("A:", "x")], [("A", "1")] * 130, [("A", "\ud800")]]
)
def test_the_encoder_refuses_what_asterisk_would_misread(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(ValueError):
        ami_actions.encode("Ping", headers)


@given(st.text(max_size=80), st.text(max_size=20), st.text(max_size=20))
def test_nothing_adds_a_line(name: str, number: str, endpoint: str) -> None:
    try:
        data = ami_actions.ring(ring(caller_name=name, caller=number, endpoint=endpoint), "a-1")
    except ValueError:
        return
    assert data.count(b"\r\n") == 15
    assert data.count(b"\n") == data.count(b"\r") == 15
    assert all(len(line) <= ami_actions.LINE_CAP for line in data.split(b"\r\n"))
