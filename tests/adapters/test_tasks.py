"""Every task is answered once, in time, with nothing in it that must not be seen."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import msgspec
import pytest

from cti.adapters.tasks import MASK, MOST, Done, Fault, Tasks, fitting, masked
from cti.core.messages import RunTask, TaskDone, decode, encode

VAULT = {("c1", "card"): "4111111111111111", ("c1", "cvc"): "123"}


def command(kind: str = "http", timeout: float = 1.0, **args: Any) -> RunTask:
    return RunTask(call_id="call", uniqueid="c1", op=7, kind=kind, args=args, timeout=timeout)  # type: ignore[arg-type]


async def run(work: Any, ask: RunTask) -> TaskDone:
    tasks = Tasks({"http": work}, now=lambda: 5.0, sealed=lambda uniqueid, name: VAULT.get((uniqueid, name)),
                  secrets={"key": "s3cret-key"})  # fmt: skip
    done = await tasks.run(ask)
    assert (done.call_id, done.op, done.at) == ("call", 7, 5.0)
    assert decode(encode(done)) == done
    return done


async def test_the_outcome_and_the_data_of_the_work_are_the_answer() -> None:
    async def work(ask: RunTask) -> Done:
        return "done", {"n": 1, "of": [ask.args["x"]]}

    done = await run(work, command(x="y"))
    assert (done.outcome, done.data) == ("done", {"n": 1, "of": ["y"]})


async def test_a_fault_is_an_error_with_its_data(caplog: Any) -> None:
    async def work(_: RunTask) -> Done:
        raise Fault("the answer is 500", {"status": 500})

    done = await run(work, command())
    assert (done.outcome, done.data) == ("error", {"status": 500})
    assert "http of call call: the answer is 500" in caplog.text
    await run(work, command(query="order"))
    assert "http order of call call: " in caplog.text, "which of the queries it was"


async def test_what_hangs_ends_at_its_deadline() -> None:
    async def work(_: RunTask) -> Done:
        await asyncio.sleep(60)
        return "done", {}

    began = time.monotonic()
    assert (await run(work, command(timeout=0.05))).outcome == "error"
    assert (await run(work, command(timeout=-1))).outcome == "error"
    assert time.monotonic() - began < 5


async def test_any_exception_is_an_error_and_its_text_is_not_logged(caplog: Any) -> None:
    async def work(_: RunTask) -> Done:
        raise ValueError("4111111111111111")

    assert (await run(work, command())).outcome == "error"
    assert "ValueError at test_tasks.py" in caplog.text and "4111" not in caplog.text


async def test_a_kind_that_is_not_there_is_an_error() -> None:
    assert (await run(None, command("script"))).outcome == "error"


async def test_a_stop_of_the_server_goes_through() -> None:
    async def work(_: RunTask) -> Done:
        await asyncio.sleep(60)
        return "done", {}

    task = asyncio.create_task(run(work, command(timeout=50)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_sealed_and_secret_are_filled_in_for_the_work_alone(caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    seen: dict[str, Any] = {}

    async def work(ask: RunTask) -> Done:
        seen.update(ask.args)
        card = "4111111111111111"
        return "done", {"echo": "k s3cret-key", "card": {card: [card]}, "n": int(card), "order": 4123, "t": "123, 4123"}

    ask = command(
        json={"card": {"sealed": "card"}, "deep": [{"cvc": {"sealed": "cvc"}}]}, headers={"K": {"secret": "KEY"}},
        form={"both": {"secret": "key", "sealed": "card"}}, body={"a": {"secret": "key"}},
    )  # fmt: skip
    done = await run(work, ask)
    assert seen["json"] == {"card": "4111111111111111", "deep": [{"cvc": "123"}]}
    assert seen["headers"] == {"K": "s3cret-key"} and seen["form"] == {"both": {"secret": "key", "sealed": "card"}}
    assert seen["body"] == {"a": {"secret": "key"}}
    assert done.data == {
        "echo": f"k {MASK}", "card": {MASK: [MASK]}, "n": MASK, "order": 4123, "t": f"{MASK}, 4123",
    }  # fmt: skip
    assert "4111" not in caplog.text + repr(ask) and "s3cret" not in caplog.text


async def test_faults_do_not_tell_them_either(caplog: Any) -> None:
    async def work(ask: RunTask) -> Done:
        raise Fault(f"bad value {ask.args['args']}", {"said": f"no {ask.args['args']}"})

    done = await run(work, command(args={"sealed": "card"}))
    assert (done.outcome, done.data) == ("error", {"said": f"no {MASK}"})
    assert MASK in caplog.text and "4111" not in caplog.text


@pytest.mark.parametrize(("value", "said"), [
    ({"secret": "nobody"}, "there is no nobody under [secrets] of cti.toml"),
    ({"sealed": "pin"}, "the digits of pin are not there any more"),
])  # fmt: skip
async def test_what_is_missing_is_said(value: Any, said: str, caplog: Any) -> None:
    async def work(_: RunTask) -> Done:
        raise AssertionError

    assert (await run(work, command(json={"a": value}))).outcome == "error"
    assert said in caplog.text


@pytest.mark.parametrize("data", [
    {"a": "x" * MOST}, {"a": object()}, {"a": 2j},
])  # fmt: skip
async def test_more_than_a_call_can_carry_is_an_error(data: Any) -> None:
    async def work(_: RunTask) -> Done:
        return "done", data

    done = await run(work, command())
    assert (done.outcome, done.data) == ("error", {})


def test_what_fits_is_plain_json() -> None:
    deep: Any = 1
    for _ in range(3000):
        deep = [deep]
    with pytest.raises(Fault):
        fitting({"deep": deep})
    assert fitting({"a": "\ud800\0", "t": (1, None)}) == {"a": "\ufffd\ufffd", "t": [1, None]}
    assert len(msgspec.json.encode(fitting({"a": "x" * (MOST - 8)}))) == MOST


def test_nothing_is_struck_out_without_need() -> None:
    assert masked({"a": 5, "b": "5"}, []) == {"a": 5, "b": "5"}
    assert masked([True, 1, 1.0, "x"], ["1", ""]) == [True, MASK, 1.0, "x"]


@pytest.mark.parametrize("text", [
    "4242 4242", "4 2 4 2 4 2 4 2", "4242-4242", "[4, 2, 4, 2, 4, 2, 4, 2]", '"4","2","4","2","4","2","4","2"',
])  # fmt: skip
def test_digits_in_groups_are_struck_out_too(text: str) -> None:
    assert "2" not in masked(f"card {text} is known", ["42424242"])


def test_other_digits_stay() -> None:
    assert masked("1 4242 42421, 4242 and 4242", ["42424242"]) == "1 4242 42421, 4242 and 4242"
