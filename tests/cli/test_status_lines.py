from __future__ import annotations

from typing import Any

import pytest

from cti.cli import status


def test_what_is_wrong_with_the_flows_folder_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/flows.md: a mistake leaves the live version serving; what is wrong stands in `cti status`."""
    detail = "version 3; the folder cannot be published: t.yaml:5:3: node `a` needs a verb"
    state: dict[str, Any] = {
        "version": "1", "http": {"url": "http://x"}, "server": {"ready": True, "answers": True}, "parts": {},
        "adapters": {"ami": {"ok": True, "detail": "", "age": 1}, "flows": {"ok": True, "detail": detail, "age": None}},
        "paths": {"logs": "/logs"},
    }  # fmt: skip
    status._print(state)
    assert f"  flows      {detail}\n" in capsys.readouterr().out
