"""Every kind of task, on a real database and real servers, as the server itself has them put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kit_pg import Cluster

from cti import config as configuration
from cti.adapters import passwords
from cti.adapters.postgres import Store
from cti.adapters.postgres_pins import set_pin
from cti.app import App
from cti.core.messages import RunTask, TaskDone
from cti.demo.tokeniser import Tokeniser
from cti.outside import Outside

pytestmark = pytest.mark.services
CARD = "4111111111111111"


class Site:
    """A server's outside with its vault, and somebody to ask."""

    def __init__(self, outside: Outside, vault: dict[tuple[str, str], str], customer: str, asked: list[Any]) -> None:
        self.outside, self.vault, self.customer, self.asked = outside, vault, customer, asked

    async def run(self, kind: Any, timeout: float = 5.0, **args: Any) -> TaskDone:
        task = RunTask(call_id="call", uniqueid="c1", op=3, kind=kind, args=args, timeout=timeout, version=3)
        return await self.outside.run(task)


@pytest.fixture
async def site(pg: Cluster, tmp_path: Path) -> AsyncIterator[Site]:
    asked: list[Any] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append((request.headers.get("Authorization"), await request.text()))
        return web.json_response({"echo": [await request.text(), request.headers.get("Authorization")]})

    app = web.Application()
    app.router.add_route("*", "/any", answer)
    dsn = await pg.make_database(migrated=True)
    store = await Store.open(dsn)
    who = await store.add_customer("Ani", [("+6281234567890", "")])
    await set_pin(store, who, passwords.hash_pin("8020471183"))
    async with TestServer(app) as server, Tokeniser() as tokeniser:
        (tmp_path / "cti.toml").write_text(f"""
            [postgres]
            dsn = "{dsn}"
            [outside]
            allow = ["127.0.0.1"]
            [secrets]
            crm_key = "Bearer s3cret"
            [webhooks]
            crm = {{url = "{server.make_url("/any")}", headers = {{Authorization = {{secret = "crm_key"}}}}}}
            [payment]
            url = "{tokeniser}"
        """)
        vault = {("c1", "card"): CARD, ("c1", "pin"): "8020471183", ("c1", "acct"): "123456"}
        outside = Outside(
            configuration.load(tmp_path / "cti.toml", {}), store,
            script_text=lambda version, name: "print('{\"outcome\": \"vip\"}')" if version == 3 else None,
            sealed=lambda uniqueid, name: vault.get((uniqueid, name)),
            forget=lambda uniqueid, name: vault.pop((uniqueid, name), None) and None, now=lambda: 1.0,
        )  # fmt: skip
        yield Site(outside, vault, who, asked)
        await outside.close()
        await store.close()


async def test_every_kind_of_task(site: Site, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    url = site.outside._hooks["crm"][0]
    assert (await site.run("customer", number="0812 3456 7890")).data["display_name"] == "Ani"
    assert (await site.run("customer", customer_id=site.customer)).data["display_name"] == "Ani"
    found = await site.run("query", sql="select :n::int + 1 as n", **{"with": {"n": "41"}}, many=False)
    assert (found.outcome, found.data) == ("found", {"n": 42})
    sealed = await site.run("query", sql="select length(:acct) as n", **{"with": {"acct": {"sealed": "acct"}}})
    assert sealed.data == {"n": 6}
    done = await site.run("http", url=url, method="POST", json={"a": {"sealed": "acct"}}, get={"e": "/echo"},
                          headers={"Authorization": {"secret": "crm_key"}})  # fmt: skip
    assert (done.outcome, done.data) == ("done", {"status": 200, "e": ['{"a":"********"}', "********"]})
    assert (await site.run("message", webhook="crm", body={"b": 1})).outcome == "done"
    assert site.asked == [("Bearer s3cret", '{"a":"123456"}'), ("Bearer s3cret", '{"b":1}')]
    assert (await site.run("script", script="x.py", args={})).outcome == "vip"
    paid = await site.run("pay", amount=5, currency="IDR", reference="r")
    assert (paid.outcome, paid.data["last4"]) == ("done", "1111")
    assert (await site.run("authenticate", customer_id=site.customer)).outcome == "done"
    assert site.vault == {("c1", "acct"): "123456"}
    assert not [word for word in (CARD, "123456", "s3cret", "8020471183") if word in caplog.text]


async def test_what_is_not_there_is_an_error(site: Site) -> None:
    site.vault.clear()
    for kind, args in (
        ("customer", {}), ("query", {}), ("http", {}), ("message", {}), ("script", {}), ("pay", {}),
        ("authenticate", {}), ("query", {"sql": "select :a", "with": 7}), ("nothing", {}),
        ("http", {"url": 7, "headers": 7}), ("http", {"url": "http://127.0.0.1:1/", "json": {"a": {"secret": "none"}}}),
        ("script", {"script": ["x"]}),
    ):  # fmt: skip
        assert (await site.run(kind, **args)).outcome == ("none" if kind == "customer" else "error")  # type: ignore[arg-type]


async def test_a_wrong_pin_counts_and_is_forgotten(site: Site) -> None:
    for left in (4, 3):
        site.vault["c1", "pin"] = "0000"
        done = await site.run("authenticate", customer_id=site.customer)
        assert (done.outcome, done.data) == ("wrong", {"left": left})
        assert ("c1", "pin") not in site.vault


async def test_a_database_that_hangs_costs_a_task_its_time(site: Site, pg: Cluster) -> None:
    assert (await site.run("query", sql="select 1 as n")).outcome == "found"
    pg.freeze()
    try:
        done = await site.run("query", timeout=0.3, sql="select 1 as n")
        assert done.outcome == "error"
    finally:
        pg.thaw()
    assert (await site.run("query", sql="select 1 as n")).outcome == "found"


async def test_the_server_answers_each_task_that_the_core_asks_for(tmp_path: Path) -> None:
    app = App(configuration.load(None, {"CTI_HOME": str(tmp_path)}), None)
    submitted: list[Any] = []

    async def run(task: RunTask) -> TaskDone:
        return TaskDone(at=1.0, call_id=task.call_id, op=task.op, outcome="done")

    app.outside = SimpleNamespace(run=run)  # type: ignore[assignment]
    app.engine = SimpleNamespace(submit=submitted.append)  # type: ignore[assignment]
    app.dispatch(RunTask(call_id="call", uniqueid="c1", op=9, kind="http", args={}, timeout=1.0))
    await asyncio.gather(*app.tasks)
    assert submitted == [TaskDone(at=1.0, call_id="call", op=9, outcome="done")]
