"""Opens the adapters in order, runs them, closes them in reverse.

    PostgreSQL -> journal -> recordings -> core (restored from events) -> flows -> web, FastAGI, AMI

The order matters once: facts are only let in when the core knows what was going on before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from typing import Any

import msgspec
from aiohttp import web

from cti import __version__, collector, lost
from cti.adapters import cel, postgres_start, prompts_tones, voicemail
from cti.adapters.agi import AgiServer
from cti.adapters.ami import AmiLink
from cti.adapters.journal import Journal
from cti.adapters.postgres import Store
from cti.adapters.recordings import Recorder
from cti.adapters.redis import Fanout
from cti.adapters.web.app import make_app
from cti.adapters.web.hub import Hub
from cti.adapters.web.ports import Settings
from cti.adapters.web.server import make_runner
from cti.config import Config
from cti.core import views
from cti.core.ivr import Book
from cti.core.messages import (
    CalendarsForced,
    CallbacksFound,
    ChannelGone,
    Collect,
    Command,
    CustomerFound,
    Event,
    FinishRecording,
    FlowsPublished,
    HangUp,
    Hold,
    Input,
    LookUpCustomer,
    Pause,
    PeopleChanged,
    PickUp,
    Play,
    Push,
    Record,
    Release,
    Ring,
    RunTask,
)  # fmt: skip
from cti.core.queues import QueueConfig
from cti.core.switchboard import Output, Switchboard
from cti.core.switchboard import Settings as Site
from cti.engine import Engine
from cti.errors import Unavailable
from cti.figures import Figures
from cti.flows import LiveFlows
from cti.outside import Outside
from cti.publishing import prompts_of
from cti.vault import Vault

log = logging.getLogger(__name__)
OVERLAP = 60.0  # s before the last thing known that the switch's journal is read back; the core knows what comes twice
A_DAY = 86_400.0  # s that the switch's journal is read back where the database knows no call at all
SHOWN = 100  # callers of whom the wallboard tells; all are counted
LINK_FIRST = 3.0  # s callers wait in the dialplan's music for the link to the switch



class App:
    """One server. `run()` returns after SIGTERM or SIGINT; whatever was going on goes on in Asterisk."""

    def __init__(self, config: Config, apply_stations: Callable[[Any], Awaitable[None]] | None) -> None:
        self.config = config
        self.apply_stations = apply_stations
        self.figures = Figures(config.site.time_zone, self.now)
        self.hub = Hub(config.site.country)
        self.vault = Vault(self.now)
        self.tasks: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()
        self.crashed: BaseException | None = None
        self.alive_mark = config.paths.journal / "switch-alive"

    async def run(self) -> None:
        async with (
            self._store() as self.store, self._journal() as self.journal, self._fanout() as self.fanout,
            self._outside() as self.outside,
        ):  # fmt: skip
            await self._restore()
            try:
                self._keep(self.store.run_writer(self.journal), "writer")
                await self._serve()
                await self.stopping.wait()
                await self._close()
            finally:
                await end(self.tasks)
        log.info("stopped")
        if self.crashed is not None:
            raise self.crashed

    def _keep(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run it as long as the server runs. When it crashes the server stops, and is started anew by whoever keeps it:
        a start is the one recovery there is."""
        task = self._spawn(work, name)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.critical("%s crashed", task.get_name(), exc_info=error)
            self.crashed = error
            self.stopping.set()

    # ------------------------------------------------------------ opening

    @contextlib.asynccontextmanager
    async def _store(self) -> AsyncIterator[Store]:
        store = await patiently("PostgreSQL", lambda: Store.open(self.config.postgres.dsn))
        try:
            yield store
        finally:
            await store.close()

    @contextlib.asynccontextmanager
    async def _journal(self) -> AsyncIterator[Journal]:
        journal = Journal.open(self.config.paths.journal)
        try:
            yield journal
        finally:
            journal.close()

    @contextlib.asynccontextmanager
    async def _fanout(self) -> AsyncIterator[Fanout]:
        fanout = Fanout(self.config.redis.url)
        try:
            yield fanout
        finally:
            await fanout.close()

    @contextlib.asynccontextmanager
    async def _outside(self) -> AsyncIterator[Outside]:
        outside = Outside(
            self.config, self.store, script_text=lambda version, name: self.flows.script_text(version, name),
            sealed=self.vault.get, forget=self.vault.forget, now=self.now,
        )  # fmt: skip
        try:
            yield outside
        finally:
            await outside.close()

    async def _restore(self) -> None:
        """Rebuild the core from the events of unfinished calls, those still in the journal included."""
        await self.store.catch_up(self.journal)
        epoch = await self.store.take_epoch()
        trunk = next((f"trunk-{trunk.name}" for trunk in self.config.sip.trunks if trunk.contact), "")
        site = Site(country=self.config.site.country, trunk=trunk, limits=self.config.agents.limits)
        self.board = Switchboard(epoch, site)
        self.engine = Engine(self.board, self.journal, self.dispatch, self.observe)
        self.recorder = Recorder(self.config.paths.recordings, self.engine.submit, self.engine.now)
        self.prompts = prompts_of(self.config)
        past = await postgres_start.restore(self.store)
        await self._look_back()
        self.output = self.board.restore([*past.events, *past.agents], self.engine.now())
        await self._people()
        self.submit(await postgres_start.past(self.store, self.engine.now()))
        await self._calendars()
        self.flows = LiveFlows(self.config, self.store, self.prompts, self._publish, self._versions_in_use)
        await self.flows.start()
        await self._callbacks()  # before the switch tells what became of the calls made for them
        within = {name: queue.service_level.within for name, queue in self.board.router.queues.items()}
        await self.figures.restore(self.store, past, within)
        log.info("restored %d calls, epoch %d", len(self.board.calls.live), epoch)

    async def _look_back(self) -> None:
        """From when on the switch's own journal is read, and which calls are over of which it tells again."""
        known = await postgres_start.last_known(self.store)
        self.missed_since = self.engine.now() - A_DAY if known is None else known - OVERLAP
        self.board.calls.remember_over(await postgres_start.over_since(self.store, self.missed_since))

    async def _serve(self) -> None:
        config = self.config
        tones = await asyncio.to_thread(prompts_tones.make, config.paths.sounds.resolve())
        self.agi = AgiServer(
            host=config.agi.host, port=config.agi.port, node="main", submit=self.engine.submit,
            render=self.prompts.render, now=self.engine.now, allowed=config.agi.allow, seal=self.vault.put,
            beep=tones.beep, silence=tones.silence, spool=config.paths.recordings.resolve() / "spool",
        )  # fmt: skip
        self.ami = AmiLink(
            host=config.ami.host, port=config.ami.port, username=config.ami.username, secret=config.ami.secret,
            node="main", submit=self._switch_says, cel=self._missed, now=self.engine.now,
            alive_until=lost.alive_until(self.alive_mark), render=self.prompts.render,
        )  # fmt: skip
        self.engine.settle(self.output)
        await self.recorder.recover()
        self._keep(self.ami.run(), "ami")
        self._keep(lost.keep_alive_mark(self.alive_mark, lambda: self.ami.connected), "alive")
        self._keep(lost.end_lost(self.board.calls, self.ami.channels, self.submit, self.now), "lost")
        self._keep(self.store.watch_people(self._people), "people")
        self._keep(self.store.watch_calendars(self._calendars), "calendars")
        self._keep(self.store.watch_callbacks(self._callbacks), "callbacks")
        self._keep(self.flows.watch(), "flows")
        self._keep(self.flows.follow(), "versions")
        folder = self.config.paths.home / "voicemail"
        self._keep(voicemail.read_in(folder, self.engine.submit), "voicemail")
        await self._linked()
        self.engine.start()
        self._keep(self.engine.follow_clock(), "clock")
        await self.agi.start()
        await self._start_web()
        self._keep(collector.collect_when_quiet(lambda: len(self.board.calls.live)), "collector")
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        log.info("serving on http://%s:%d", config.http.host, config.http.port)

    def _switch_says(self, fact: Input) -> None:
        self.engine.submit(fact)
        if isinstance(fact, ChannelGone):
            self.vault.forget(fact.uniqueid)

    async def _linked(self) -> None:
        """The switch's own account first, then its callers: who called while we were away did so then, not now."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINK_FIRST):
                await self.ami.was_up.wait()

    async def _start_web(self) -> None:
        site = self.config.site
        settings = Settings(
            site_name=site.name, time_zone=site.time_zone, country=site.country, languages=site.languages,
            recordings=self.config.paths.recordings.resolve(), version=__version__, status_key=self.config.status_key,
            trusted_proxies=self.config.http.trusted_proxies, reasons=self.config.agents.limits,
        )  # fmt: skip
        self.runner = make_runner(make_app(self, self.store, settings, self.hub))
        await self.runner.setup()
        await web.TCPSite(self.runner, self.config.http.host, self.config.http.port).start()

    async def _close(self) -> None:
        """Web first (nobody asks for more), then the switch; what is in the journal is stored before we go."""
        log.info("stopping: %d calls go on in Asterisk", len(self.board.calls.live))
        await self.runner.cleanup()
        await self.agi.close()
        await self.recorder.close()
        with contextlib.suppress(TimeoutError, Unavailable):
            async with asyncio.timeout(5):
                await self.store.catch_up(self.journal)

    # ------------------------------------------------------------ what the web sees (adapters.web.ports.Engine)

    def submit(self, message: Any) -> None:
        self.engine.submit(message)

    def now(self) -> float:
        return self.engine.now()

    def agents(self) -> list[views.Row]:
        return views.agents(self.board, self.figures.stats, self.now())

    def queues(self) -> list[views.Row]:
        return views.queues(self.board, self.figures.stats, self.now())

    def wallboard(self) -> views.Row:
        return views.wallboard(self.board, self.figures.stats, self.now()) | {"waiting": self.waiting_calls(SHOWN)}

    def desk(self, agent: str) -> views.Row:
        return views.desk(self.board, self.figures.stats, agent, self.now())

    def stations(self) -> dict[str, bool]:
        return self.board.people.stations

    def live_calls(self) -> list[views.Row]:
        return views.live_calls(self.board, self.now())

    def waiting_calls(self, most: int | None = None) -> list[views.Row]:
        return views.waiting_calls(self.board, self.now(), most)

    def callbacks(self, queues: Collection[str] | None) -> list[views.Row]:
        return views.callbacks(self.board, queues, self.now())

    def queue(self, name: str) -> QueueConfig | None:
        return self.board.router.queues.get(name)

    def why_call(self, call_id: str) -> views.Row | None:
        return views.why_call(self.board, call_id, self.now())

    def why_agent(self, agent: str) -> views.Row:
        return views.why_agent(self.board, agent, self.now())

    def health(self) -> dict[str, views.Row]:
        """What a load balancer or `cti status` must know of each adapter."""
        parts = {
            "ami": (self.ami.connected, "the link to Asterisk"),
            "agi": (True, f"{self.agi.sessions} callers in the loop"),
            "postgres": (self.store.connected, f"{self.store.behind(self.journal)} events to store"),
            "redis": (self.fanout.connected, "fan-out to other nodes; losing it loses nothing"),
            "flows": (bool(self.flows.serving.live), self.flows.detail()),
        }
        return {name: {"ok": ok, "detail": detail, "age": None} for name, (ok, detail) in parts.items()}

    def metrics(self) -> dict[str, Any]:
        ami = {f"cti_ami_{name}_total": count for name, count in self.ami.counters.items()}
        return ami | {
            "cti_inputs_total": self.engine.inputs, "cti_faults_total": self.engine.faults,
            "cti_calls_active": len(self.live_calls()), "cti_agi_sessions": self.agi.sessions,
            "cti_events_to_store": self.store.behind(self.journal), "cti_ws_clients": len(self.hub),
            "cti_flow_reload_failures_total": self.flows.failures,
        }  # fmt: skip

    # ------------------------------------------------------------ commands and events

    def dispatch(self, command: Command) -> None:
        """Carry out one command. Never raises: what cannot be done shows in the facts that do not come."""
        match command:
            case Play() | Collect() | Record() | Pause() | Hold() | Release():
                self.agi.execute(command)
            case Ring() | HangUp():
                self.ami.execute(command)
            case LookUpCustomer():
                self._spawn(self._look_up(command))
            case RunTask():
                self._spawn(self._run_task(command))
            case FinishRecording():
                self.recorder.finish(command)
            case PickUp():
                self.hub.push("pick_up", {"call_id": command.call_id}, command.agent)
            case Push():
                self.hub.push(command.type, command.data, command.agent)

    def observe(self, event: Event) -> None:
        """Every event after it is kept: the figures and the pages follow it."""
        self.figures.stats.apply(event)
        if event.type in ("agent.state_changed", "agent.over_limit"):
            agent = self.board.people.agents[event.agent]
            row = views.agent_row(self.board, self.figures.stats, agent, self.now())
            self.hub.push("agent_state", row, event.agent)
        elif event.type in TOLD and event.agent:
            call = self.board.calls.live.get(event.call_id)
            about = views.live_call(call, self.now()) if call else {"call_id": event.call_id}
            self.hub.push("call", {"event": event.type, "call": about}, event.agent)
        self.fanout.publish(event)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str = "") -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _run_task(self, command: RunTask) -> None:
        self.submit(await self.outside.run(command))

    async def _look_up(self, command: LookUpCustomer) -> None:
        found = CustomerFound(at=self.now(), call_id=command.call_id, customer_id=command.customer_id)
        if command.caller or command.customer_id:
            try:
                match = await self.store.find_customer(command.caller, command.customer_id)
                found = msgspec.structs.replace(
                    found, at=self.now(), customers=tuple(match.customers), history=tuple(match.history),
                    cases=tuple(match.cases),
                )  # fmt: skip
            except Unavailable:
                log.warning("the caller of %s is not looked up: PostgreSQL is away", command.call_id)
        self.submit(found)

    # ------------------------------------------------------------ what changes while running

    async def _people(self) -> None:
        """Agents and stations as they are in the database now; stations also into Asterisk's file."""
        people, stations = await self.store.load_people()
        names, numbers = await self.store.user_names(), tuple(s.number for s in stations)
        self.submit(PeopleChanged(at=self.now(), agents=people, stations=numbers, names=names))
        if self.apply_stations is not None:
            await self.apply_stations(stations)

    async def _calendars(self) -> None:
        """Calendars opened or closed by hand, as they are in the database now; while it is away, as they were."""
        self.submit(CalendarsForced(at=self.now(), calendars=await self.store.forced_calendars()))

    async def _callbacks(self) -> None:
        """Those that are open, as the database has them now."""
        self.submit(CallbacksFound(at=self.now(), callbacks=await self.store.open_callbacks()))

    def _publish(self, book: Book, share: int) -> None:
        self.board.publish(book, FlowsPublished(at=self.now(), version=book.version, share=share))
        queues = self.board.router.queues
        self.figures.stats.configure({name: queue.service_level.within for name, queue in queues.items()})
        self.engine.settle(Output([], []))  # its timer: those who wait are looked at by the new rules

    def _versions_in_use(self) -> set[int]:
        return {call.version for call in self.board.calls.live.values()} - {0}

    async def flows_book(self, version: int) -> Book | None:
        return await self.flows.book(version)

    async def flows_publish(self, by: str, note: str, share: int) -> views.Row:
        return await self.flows.publish(by, note, share)

    async def flows_rollback(self, by: str, version: int | None) -> views.Row:
        return await self.flows.rollback(by, version)

    async def flows_share(self, by: str, version: int, percent: int) -> views.Row:
        return await self.flows.share(by, version, percent)

    async def flows_state(self) -> views.Row:
        return self.flows.state()

    def queues_of(self, agent: str) -> list[str]:
        return views.queues_of(self.board, agent)

    def flow_callers(self) -> list[views.Row]:
        return views.flow_callers(self.board, self.now())

    def calendars(self) -> list[views.Row]:
        lines = self.board.lines
        return views.calendars(lines.books.get(lines.serving.live), lines.forced, self.now())

    def _missed(self, since: float) -> Any:
        file = self.config.paths.logs / "asterisk/cel-custom/cti.csv"
        return cel.read_facts(file, since or self.missed_since, "main")


TOLD = frozenset({"call.connected", "call.disconnected", "call.ended", "call.wrapped", "offer.missed", "offer.rejected",
                  "offer.caller_left", "offer.cancelled", "call.disposition_set"})  # fmt: skip


async def end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancel them until they have ended: on Python 3.11 a cancellation can get lost."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=0.2)


async def patiently(what: str, open_it: Callable[[], Awaitable[Any]]) -> Any:
    """Open a service, waiting for as long as it is away: callers hear music meanwhile."""
    said = False
    while True:
        try:
            return await open_it()
        except Unavailable as error:
            if not said:
                log.warning("waiting for %s: %s", what, error)
                said = True
            await asyncio.sleep(0.5)
