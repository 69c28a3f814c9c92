"""`cti status`, as people read it."""

from __future__ import annotations

import pytest

from cti.cli import status


def test_what_is_wrong_with_the_flows_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    detail = "version 3; the folder cannot be published: main.yaml:3:1: no such node"
    state = {
        "version": "1", "http": {"url": "http://x"}, "server": {"ready": True, "answers": True}, "parts": {},
        "paths": {"logs": "/l"}, "adapters": {"flows": {"ok": True, "detail": detail, "age": None}},
    }  # fmt: skip
    status._print(state)
    out = capsys.readouterr().out
    assert f"  flows      {detail}\n" in out
    status._print(state | {"adapters": {}})
    assert "  flows " not in capsys.readouterr().out
