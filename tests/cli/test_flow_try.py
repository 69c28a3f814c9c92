"""`cti flow sim` and `cti flow test`, as somebody at a terminal, a script and a CI server use them."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cti.__main__ import main

EXAMPLE = Path(__file__).parents[1] / "flows"
SECRET = """\
flow: secret
language: en
start: pin
nodes:
  pin: {do: ask, say: "Your PIN", length: 4, secret: true, then: bye}
  bye: {do: say, say: "Goodbye", then: hangup}
"""
Out = pytest.CaptureFixture[str]
Type = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "flows"))


@pytest.fixture
def type_in(monkeypatch: pytest.MonkeyPatch) -> Type:
    """What is piped into the next sim, line by line."""

    def put(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return put


def sim(*args: str) -> int:
    return main(["flow", "sim", "--flows", str(EXAMPLE), *args])


# ---------------------------------------------------------------- sim


def test_a_call_that_is_piped_in(type_in: Type, capsys: Out) -> None:
    known = ("--customer", "tier=vip", "--customer", "display_name=Siti", "--caller", "0812 3456 7890")
    type_in("", "1", "busy", "answered", "5")
    assert sim("main", *known, "--at", "2026-12-25 10:00") == 0
    out = capsys.readouterr().out
    assert out.startswith("main, Fri 2026-12-25 10:00. Keys: ")
    assert 'voice en: "Hello Siti.' in out.replace("Hello Siti .", "Hello Siti.")
    assert "  who asks customer: number=+6281234567890\n" in out
    assert "answer [found tier=vip, display_name=Siti]> \n  who: found -> menu\n" in out
    assert "  waits in queue sales, priority 10, skills of the queue\n" in out
    assert "one of answered, talked, timeout, full, no_agents, closed, left, failed; h: hang up\n" in out
    assert "event survey.answered survey=after_call, question=helped, answer=5\n" in out
    assert "\npath: greet, who found, menu 1, sales answered, rate\nevents: survey.answered\nvars: asked = 0\n" in out
    assert "ended: flow_ended, cause 16, after 1:2" in out
    assert "\x1b" not in out


WAITING = """\
flow: w
language: en
start: a
nodes:
  a: {do: queue, queue: sales, options: {"1": b, star: b}, agent: ani, then: hangup}
  b: {do: queue, queue: last, then: hangup}
"""


def test_keys_typed_while_the_caller_waits(type_in: Type, capsys: Out, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WAITING)
    rules = 'raise: [{when: "{{ true }}", by: 4}], last_agent: 1m'
    (tmp_path / "queues.yaml").write_text(f"queues: {{sales: {{priority: 3, {rules}}}, last: {{priority: 7}}}}\n")
    type_in("5", "5*", "1", "")
    assert main(["flow", "sim", "w", "--flows", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "  waits in queue sales, priority 7, skills of the queue\n  priority raised: true (+4)\n" in out
    assert "  for 20 s only ani is offered the call, who is named by the node\n" in out
    keys = "answered, talked, timeout, full, no_agents, closed, left, failed; keys 1 *"
    assert f"{keys} [answered]> 5\none of {keys}; h: hang up\n" in out
    assert "  a: * -> b\n  waits in queue last, priority 7, skills of the queue\n" in out
    assert "failed [answered]> 1\none of answered" in out, "that node has no keys"
    assert "path: a *, b answered\n" in out


def test_calls_before_are_given(type_in: Type, capsys: Out, tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(WAITING.replace(", agent: ani", ""))
    rule = 'raise: [{when: "{{ call.repeat >= 2 }}", by: 4}], last_agent: 1m'
    (tmp_path / "queues.yaml").write_text(f"queues: {{sales: {{{rule}}}, last: {{}}}}\n")
    known = ("--call", "repeat=2", "--call", "last_agent=budi", "--save", "again")
    type_in("1", "")
    assert main(["flow", "sim", "w", "--flows", str(tmp_path), *known]) == 0
    out = capsys.readouterr().out
    assert "priority raised: call.repeat >= 2 (+4)\n" in out
    assert "  for 60 s only budi is offered the call, who talked to him last\n" in out
    assert 'call: {repeat: 2, last_agent: budi}' in (tmp_path / "w.test.yaml").read_text()
    assert main(["flow", "test", str(tmp_path)]) == 0
    refused = {"repeat=9": "from 0 to 5", "id=7": "`id` is no key of --call", "repeat": "write --call repeat=2"}
    for wrong, told in refused.items():
        assert main(["flow", "sim", "w", "--flows", str(tmp_path), "--call", wrong]) == 2
        assert told in capsys.readouterr().err


def test_answers_from_outside_are_given_before_or_typed(type_in: Type, capsys: Out) -> None:
    given = ("--set", "find.status=sent", "--set", "find.due=2026-12-01", "--answer", "who=none")
    type_in("", "2", "4711#", "1", "", "h")
    assert sim("main", "--caller", "+62811555666", *given) == 0
    out = capsys.readouterr().out
    assert "answer [found status=sent, due=2026-12-01]> \n" in out
    assert 'voice en: "It is sent and due on' in out and "(the caller hangs up)" in out
    assert "  event flow.event flow=orders, node=told, name=order_told, data={ref=4711}\n" in out
    assert "ended: hung_up" in out and "events: order_told, left_early" in out
    type_in("2", "4711#", "1", "found sent", '"', "found due=2026-12-01 status='on its way' paid=true", "h")
    assert sim("main") == 0
    out = capsys.readouterr().out
    assert out.count("an outcome, then fields: found due=2026-12-01 status=sent") == 2
    assert "It is on its way and due on" in out


def test_messages_and_calls(type_in: Type, capsys: Out) -> None:
    type_in("0", "x", "busy", "soon", "3.5")
    assert sim("main", "--language", "id") == 0
    out = capsys.readouterr().out
    assert "  1000 is called, for up to 30 s\n" in out and "  beep; is recorded, for up to 120 s\n" in out
    assert "seconds as a number; h: hang up\n" in out
    assert 'voice id: "Terima kasih' in out and "ended: voicemail" in out


def test_a_caller_who_does_not_know_what_to_do(type_in: Type, capsys: Out) -> None:
    type_in("what", "t", "", "t", "h")
    assert sim("--called", "6001") == 0
    out = capsys.readouterr().out
    assert out.count("Enter or t: press nothing") == 2 and "menu: timeout -> message" in out
    assert "Selamat datang" in out


@pytest.mark.parametrize("lines", ["", "none", "none 1", "none 0", "none t t t", "h", "none 1 h"])
def test_the_end_of_what_is_piped_in_hangs_up(type_in: Type, capsys: Out, lines: str) -> None:
    type_in(*lines.split())
    assert sim("main", "--caller", "+62811555666") == 0
    assert "(the caller hangs up)" in capsys.readouterr().out


def test_secret_digits_are_dots(folder: Path, type_in: Type, capsys: Out) -> None:
    (folder / "secret.yaml").write_text(SECRET)
    type_in("12", "34")
    assert main(["flow", "sim", "secret", "--flows", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "keys> \u2022\u2022\n" in out and "keys (\u2022\u2022 so far)> \u2022\u2022\n" in out
    assert "12" not in out.split("\n", 1)[1].split("ended")[0] and "34" not in out.split("\n", 1)[1].split("ended")[0]


def test_at_a_terminal_the_path_is_dim(monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: Out) -> None:
    (folder / "secret.yaml").write_text(SECRET)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _: "1234")
    for variable, dim in (("", True), ("1", False)):
        monkeypatch.setenv("NO_COLOR", variable)
        assert main(["flow", "sim", "secret", "--flows", str(folder)]) == 0
        out = capsys.readouterr().out
        assert ("\x1b[2m  pin: done -> bye\x1b[0m\n" in out) is dim
        assert "keys> \u2022\u2022\u2022\u2022\n" in out and "1234" not in out


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), "say which flow"), (("gone",), "there is no flow `gone`; there are: main, orders"),
        (("--called", "1"), "say which flow"), (("main", "--at", "noon"), "`noon` is no time"),
        (("main", "--language", "MS"), "`MS` is no language, write it like en"),
        (("main", "--customer", "tier"), "write --customer KEY=VALUE"), (("main", "--set", "a=1"), "write --set NODE"),
        (("main", "--answer", "=x"), "write --answer"), (("main", "--calendar", "office=b"), "open or closed, not `b`"),
        (("main", "--calendar", "ofice=open"), "there is no calendar `ofice`, did you mean `office`?"),
        (("main", "--answer", "fnd=none"), "there is no node `fnd`, did you mean `find`?"),
    ],
)  # fmt: skip
def test_what_cannot_be_tried(args: tuple[str, ...], told: str, capsys: Out) -> None:
    assert sim(*args) == 2
    assert told in capsys.readouterr().err


def test_faulty_flows_are_not_tried(folder: Path, capsys: Out) -> None:
    (folder / "main.yaml").write_text("flow: main\n")
    assert main(["flow", "sim", "main", "--flows", str(folder)]) == 1
    assert main(["flow", "test", str(folder)]) == 1
    assert capsys.readouterr().err.count("main.yaml:1:1: a flow needs `start`") == 2


def test_a_call_that_was_played_becomes_a_test(folder: Path, type_in: Type, capsys: Out) -> None:
    known = ("--customer", "tier=vip", "--customer", "points=7", "--caller", "+62811555666")
    type_in("", "2", "4711#", "1", "found due=2026-12-01 status='on its way'", "2", "12", "", "h")
    saved = ("--calendar", "office=open", "--save", "on its way")
    assert main(["flow", "sim", "main", "--flows", str(folder), *known, *saved]) == 0
    type_in("", "1", "talked")
    assert main(["flow", "sim", "--called", "6001", "--flows", str(folder), *known, "--save", "talked"]) == 0
    type_in("0", "busy", "3.5")
    assert main(["flow", "sim", "main", "--flows", str(folder), "--save", "yes"]) == 0
    assert capsys.readouterr().out.count(f"saved in {folder}/main.test.yaml") == 3
    assert main(["flow", "test", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "ok   main.test.yaml: on its way\nok   main.test.yaml: talked\nok   main.test.yaml: yes\n" in out
    type_in("h")
    assert main(["flow", "sim", "main", "--flows", str(folder), "--save", "yes"]) == 2
    assert '`yes` is there twice' in capsys.readouterr().err


def test_a_first_test_makes_the_file_and_secret_digits_none(folder: Path, type_in: Type, capsys: Out) -> None:
    (folder / "secret.yaml").write_text(SECRET)
    type_in("1234")
    assert main(["flow", "sim", "secret", "--flows", str(folder), "--save", "one"]) == 2
    assert not (folder / "secret.test.yaml").exists()
    type_in("h")
    assert main(["flow", "sim", "secret", "--flows", str(folder), "--save", "one"]) == 0
    assert main(["flow", "test", str(folder / "secret.test.yaml")]) == 0


# ---------------------------------------------------------------- test


def test_the_example_is_good_and_every_node_but_the_last_resort_is_tested(capsys: Out) -> None:
    assert main(["flow", "test", str(EXAMPLE), "--coverage"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ok   main.test.yaml: a VIP reaches sales and rates the call"
    assert "12 tests, 0 failed" in lines
    assert "flow orders: nodes 8 of 8, outcomes 10 of 10" in lines
    assert any(line.startswith("  no test: main.yaml:") and line.endswith(" sorry") for line in lines)
    assert main(["flow", "test", str(EXAMPLE / "main.test.yaml")]) == 0
    assert "no test:" not in capsys.readouterr().out
    assert main(["flow", "check", str(EXAMPLE)]) == 0


def test_the_shipped_flows_keep_what_their_tests_say(capsys: Out) -> None:
    assert main(["flow", "test", str(EXAMPLE.parents[1] / "ivr_flows"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert len(said["tests"]) > 40 and len(said["coverage"]) == 4
    missing = {(way["node"], way["outcome"]) for flow in said["coverage"] for way in flow["no_test"]}
    assert {outcome for _, outcome in missing} <= {"fail"}, "only what a broken prompt leads to"


def test_a_failure_says_where_what_and_how_it_came_there(folder: Path, capsys: Out) -> None:
    tests = folder / "main.test.yaml"
    wrong = tests.read_text().replace("hear: Hello Siti", "hear: Hello Budi")
    tests.write_text(wrong.replace("sales: answered", "sales: x"))
    assert main(["flow", "test", str(folder)]) == 1
    assert capsys.readouterr().out.startswith("FAIL main.test.yaml:10:24: `sales` must be one of answered, talked,")
    tests.write_text(wrong)
    assert main(["flow", "test", str(folder)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "FAIL main.test.yaml: a VIP reaches sales and rates the call"
    assert lines[1].startswith('     main.test.yaml:8:15: expected to hear "Hello Budi", heard "Welcome')
    assert lines[2] == "     path so far: greet, who found"
    assert "12 tests, 1 failed" in lines


def test_for_programs(folder: Path, capsys: Out) -> None:
    tests = folder / "main.test.yaml"
    tests.write_text(tests.read_text().replace("hear: Hello Siti", "hear: Hello <Budi>"))
    (folder / "other.test.yaml").write_text("flow: main\ntests: {}\n")
    report = folder / "junit.xml"
    assert main(["flow", "test", "--flows", str(folder), "--json", "--junit", str(report)]) == 1
    said = json.loads(capsys.readouterr().out)
    assert not said["ok"] and said["problems"][0]["file"] == "other.test.yaml"
    assert [test["ok"] for test in said["tests"]] == [False] + [True] * 11
    assert said["tests"][0]["failures"][0]["line"] == 8 and said["tests"][0]["path"] == ["greet", "who found"]
    assert said["coverage"][1]["flow"] == "orders" and said["coverage"][1]["nodes"] == [8, 8]
    assert {way["node"] for way in said["coverage"][0]["no_test"]} >= {"sorry"}
    suites = ElementTree.parse(report).getroot()
    first, second = suites
    assert (first.get("name"), first.get("tests"), first.get("failures")) == ("main.test.yaml", "12", "1")
    failed = first[0]
    assert (failed.get("classname"), failed.get("line")) == ("main", "5")
    assert "Hello <Budi>" in str(failed[0].get("message")) and "path so far: greet" in str(failed[0].text)
    assert (second.get("errors"), second[0][0].tag) == ("1", "error")


def test_no_tests_is_said(tmp_path: Path, folder: Path, capsys: Out) -> None:
    (folder / "main.test.yaml").unlink()
    assert main(["flow", "test", str(folder)]) == 2
    assert main(["flow", "test", str(tmp_path / "gone")]) == 2
    assert main(["flow", "test", str(folder / "main.yaml")]) == 2
    err = capsys.readouterr().err
    assert "there are no tests" in err and "no such file or folder" in err and "ends in .test.yaml" in err


def test_the_example_of_the_manual_is_good(tmp_path: Path, capsys: Out) -> None:
    manual = (EXAMPLE.parents[1] / "docs/flows.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", manual, re.DOTALL)
    (tmp_path / "queues.yaml").write_text("queues: {sales: {}}\n")
    (tmp_path / "main.yaml").write_text(next(block for block in blocks if "flow: main" in block))
    (tmp_path / "main.test.yaml").write_text(next(block for block in blocks if "\ntests:" in block))
    assert main(["flow", "test", str(tmp_path)]) == 0, capsys.readouterr().out


# ---------------------------------------------------------------- check


def test_check_reads_test_files_too(folder: Path, capsys: Out) -> None:
    (folder / "a.test.yaml").write_text('flow: main\ntests: {one: {path: [gret]}}\n')
    told = "a.test.yaml:2:22: `gret` is no node (did you mean `greet`?)\n"
    assert main(["flow", "check", str(folder)]) == 1
    assert told in capsys.readouterr().out
    assert main(["flow", "check", str(folder / "a.test.yaml")]) == 1
    assert capsys.readouterr().out == told
    assert main(["flow", "check", str(folder / "main.yaml")]) == 0
    assert main(["flow", "check", str(folder / "main.test.yaml")]) == 0
    capsys.readouterr()
    (folder / "main.yaml").write_text("flow: main\n")
    assert main(["flow", "check", str(folder / "a.test.yaml")]) == 0  # its writing is right; the flows are not asked


def test_test_files_that_cannot_be_read(folder: Path, capsys: Out) -> None:
    bad = folder / "bad.test.yaml"
    large = "larger than a test file may be (256 KiB)"
    for content, told in ((b"\xff", "bad.test.yaml:1:1: not UTF-8 text"), (b"#" * 300_000, large)):
        bad.write_bytes(content)
        assert main(["flow", "check", str(folder)]) == 1
        assert told in capsys.readouterr().out
    bad.unlink()
    bad.symlink_to(folder / "main.test.yaml")
    assert main(["flow", "check", str(folder)]) == 1
    assert "bad.test.yaml: a link is not followed" in capsys.readouterr().out
