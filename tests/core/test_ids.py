from __future__ import annotations

import pytest

from cti.core.ids import call_id, channel_id, entered_id, is_ours, offer_id

OFFER = offer_id("c", 1, 1, 1.8e9)


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        (channel_id(7, OFFER), True),
        (channel_id(7, OFFER) + "\n", False),
        (f"cti-\u0667-{OFFER}", False),
        (f"x{channel_id(7, OFFER)}", False),
        ("1800000000.5", False),
    ],
)
def test_which_channels_are_ours(name: str, ours: bool) -> None:
    assert is_ours(name) is ours


@pytest.mark.parametrize("uniqueid", ["1800000000.5\n", "18000000\u0660\u0660.5", "1800000000.\u0665", "x"])
def test_a_uniqueid_of_another_form_gets_time_0(uniqueid: str) -> None:
    assert call_id("n", uniqueid).startswith("00000000-0000-7")
    assert not call_id("n", "x-1800000000.5").startswith("00000000-0000-7")


def test_a_callback_entered_twice_at_the_same_moment_is_one() -> None:
    one = entered_id("+62811", "sales", "sari", 1.8e9)
    assert one == entered_id("+62811", "sales", "sari", 1.8e9)
    assert len({one, entered_id("+62812", "sales", "sari", 1.8e9), entered_id("+62811", "sales", "sari", 1.9e9)}) == 3
