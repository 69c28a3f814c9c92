"""Homes with free ports. `tmp_path` lies under a 0700 folder, as a checkout of root does."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cti.embedded import places
from tests.kit_ports import RTP, free_port


@pytest.fixture
def environ() -> dict[str, str]:
    return {
        "CTI_HTTP__PORT": str(free_port()),
        "CTI_SIP__PORT": str(free_port()),
        "CTI_AMI__PORT": str(free_port()),
        "CTI_AGI__PORT": str(free_port()),
        "CTI_RTP__FIRST": str(RTP[0]),
        "CTI_RTP__LAST": str(RTP[1]),
        "CTI_SITE__LANGUAGES": "en",
        "CTI_SIP__TRUNKS": '[{"name": "t", "match": ["127.0.0.1"]}]',
    }


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that every account may enter; removed with what a home in it keeps elsewhere."""
    with tempfile.TemporaryDirectory(prefix="cti-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)
        left_nothing(Path(name) / "home")


def left_nothing(path: Path) -> None:
    """Remove what a home keeps elsewhere: its far state and the folder of its sockets."""
    found = places.locate(path)
    for folder in {found.state, found.run} - {found.home}:
        shutil.rmtree(folder, ignore_errors=True)
