"""Random callers, agents, phones, kills and late or doubled facts: the invariants hold after every step."""

from __future__ import annotations

import contextlib
from collections import Counter

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cti.core.messages import (
    Bridged,
    ChannelGone,
    ChannelNew,
    ChannelUp,
    CustomerFound,
    Fact,
    HangupRequested,
    LineLost,
    LineReady,
    OriginateFailed,
    RecordingFinished,
    RejectCall,
    Ring,
    SetAgentState,
    StationState,
    Unbridged,
    WrapUp,
)  # fmt: skip
from cti.errors import CtiError
from tests.core.office import Office
from tests.core.test_restore import reborn, switch_up

AGENTS = {"ani": {"sales": 3}, "budi": {"sales": 1}, "chen": {"sales": 1, "support": 2}}
QUEUE = {"wrap_up": "5s", "max_wait": "60s", "ring": "10s"}


class Floor(RuleBasedStateMachine):
    """The switch is played by hand: `legs` are phones that ring or talk, `callers` are on the line."""

    @initialize()
    def open(self) -> None:
        self.office = Office(agents=dict(AGENTS), **QUEUE)
        self.callers: dict[str, object] = {}
        self.bridged: dict[str, str] = {}  # leg -> caller's uniqueid
        self.dead: set[str] = set()
        self.sent: list[Fact] = []

    def fact(self, fact: Fact) -> None:
        self.sent.append(fact)
        self.office.do(fact)

    def legs(self) -> list[Ring]:
        rings = [c for c in self.office.commands if isinstance(c, Ring)]
        return [r for r in rings if r.channel_id not in self.dead]

    @rule()
    def arrives(self) -> None:
        caller = self.office.caller(f"08120000{self.office.calls:02d}")
        caller.arrive()
        caller.heard()
        self.callers[caller.uniqueid] = caller

    @rule(who=st.sampled_from(sorted(AGENTS)), wish=st.sampled_from(["ready", "not_ready", "logged_out"]))
    def wishes(self, who: str, wish: str) -> None:
        with contextlib.suppress(CtiError):
            self.office.do(SetAgentState(at=self.office.at, by=who, agent=who, wish=wish))

    @rule(pick=st.randoms())
    def phone_answers(self, pick: object) -> None:
        legs = [leg for leg in self.legs() if leg.channel_id not in self.bridged]
        if not legs:
            return
        leg = pick.choice(legs)  # type: ignore[attr-defined]
        self.fact(ChannelNew(at=self.office.at, uniqueid=leg.channel_id, channel="PJSIP/x", context="agent"))
        self.fact(ChannelUp(at=self.office.at, uniqueid=leg.channel_id))
        caller = next((c for c in self.callers.values() if c.channel == leg.peer), None)  # type: ignore[attr-defined]
        if caller is None or caller.uniqueid in self.bridged.values():  # type: ignore[attr-defined]
            self.gone(leg.channel_id)
            return
        bridge = f"b-{leg.channel_id}"
        self.bridged[leg.channel_id] = caller.uniqueid  # type: ignore[attr-defined]
        for uniqueid in (leg.channel_id, caller.uniqueid):  # type: ignore[attr-defined]
            self.fact(Bridged(at=self.office.at, uniqueid=uniqueid, bridge=bridge))
        self.fact(LineLost(at=self.office.at, uniqueid=caller.uniqueid))  # type: ignore[attr-defined]

    def gone(self, leg: str, cause: int = 16) -> None:
        self.dead.add(leg)
        self.fact(ChannelGone(at=self.office.at, uniqueid=leg, cause=cause))

    @rule(pick=st.randoms(), cause=st.sampled_from([17, 19, 21, 34, 0]))
    def phone_declines(self, pick: object, cause: int) -> None:
        legs = [leg for leg in self.legs() if leg.channel_id not in self.bridged]
        if legs:
            leg = pick.choice(legs).channel_id  # type: ignore[attr-defined]
            self.gone(leg, cause)
            self.fact(OriginateFailed(at=self.office.at, uniqueid=leg, reason="failed"))

    @rule(pick=st.randoms())
    def agent_hangs_up(self, pick: object) -> None:
        if not self.bridged:
            return
        leg = pick.choice(sorted(self.bridged))  # type: ignore[attr-defined]
        uniqueid = self.bridged.pop(leg)
        self.fact(HangupRequested(at=self.office.at, uniqueid=leg))
        self.fact(Unbridged(at=self.office.at, uniqueid=leg, bridge=f"b-{leg}"))
        self.gone(leg)
        if uniqueid in self.callers:
            self.fact(Unbridged(at=self.office.at, uniqueid=uniqueid, bridge=f"b-{leg}"))
            self.fact(LineReady(at=self.office.at, uniqueid=uniqueid, channel=self.callers[uniqueid].channel))  # type: ignore[attr-defined]

    @rule(pick=st.randoms())
    def caller_hangs_up(self, pick: object) -> None:
        if not self.callers:
            return
        uniqueid = pick.choice(sorted(self.callers))  # type: ignore[attr-defined]
        del self.callers[uniqueid]
        self.fact(HangupRequested(at=self.office.at, uniqueid=uniqueid))
        for leg, other in list(self.bridged.items()):
            if other == uniqueid:
                del self.bridged[leg]
                self.fact(Unbridged(at=self.office.at, uniqueid=uniqueid, bridge=f"b-{leg}"))
                self.gone(leg)
        self.fact(ChannelGone(at=self.office.at, uniqueid=uniqueid))

    @rule(pick=st.randoms())
    def an_old_fact_comes_again(self, pick: object) -> None:
        old = [f for f in self.sent if not isinstance(f, LineReady | LineLost | Bridged)]
        if old:
            self.office.do(pick.choice(old))  # type: ignore[attr-defined]

    @rule(who=st.sampled_from(sorted(AGENTS)))
    def rejects_or_wraps_up(self, who: str) -> None:
        agent = self.office.board.people.agents[who]
        at = self.office.at
        with contextlib.suppress(CtiError):
            if agent.work == "wrap_up":
                self.office.do(WrapUp(at=at, by=who, agent=who, action="finish"))
            else:
                self.office.do(RejectCall(at=at, by=who, agent=who, call_id=agent.call_id))

    @rule(station=st.sampled_from(["2001", "2002", "2003"]), reachable=st.booleans())
    def registers(self, station: str, reachable: bool) -> None:
        self.office.do(StationState(at=self.office.at, station=station, reachable=reachable))

    @rule(seconds=st.floats(0.01, 20))
    def time_passes(self, seconds: float) -> None:
        self.office.wait(seconds)

    @rule()
    def killed(self) -> None:
        self.office.at += 1
        before = self.legs()
        reborn(self.office, **QUEUE)
        self.office.commands += before
        bridges = {u: f"b-{leg}" for leg, u in self.bridged.items()}
        live = [(c.uniqueid, c.channel, bridges.get(c.uniqueid, "")) for c in self.callers.values()]  # type: ignore[attr-defined]
        names = [leg.channel_id for leg in before]
        live += [(leg, "PJSIP/x", f"b-{leg}" if leg in self.bridged else "") for leg in names]
        switch_up(self.office, *live)
        for caller in self.callers.values():
            self.office.do(CustomerFound(at=self.office.at, call_id=caller.call_id))  # type: ignore[attr-defined]
            if caller.uniqueid not in bridges:  # type: ignore[attr-defined]
                caller.line()  # type: ignore[attr-defined]

    @invariant()
    def nobody_has_two_offers(self) -> None:
        if not hasattr(self, "office"):
            return
        board = self.office.board
        offers = [c.offer for c in board.calls.live.values() if c.offer is not None]
        assert max(Counter(o.agent for o in offers).values(), default=1) == 1
        for offer in offers:
            agent = board.people.agents[offer.agent]
            assert agent.work == ("talking" if offer.connected_at is not None else "reserved")
            assert agent.call_id == offer.call_id
        for agent in board.people.agents.values():
            if agent.work in ("reserved", "talking"):
                assert any(o.agent == agent.agent for o in offers), f"{agent.agent} is stuck in {agent.work}"
            if agent.work == "wrap_up":
                assert agent.wrap_until is not None

    @invariant()
    def nobody_waits_while_an_agent_who_could_is_free(self) -> None:
        if not hasattr(self, "office"):
            return
        board = self.office.board
        for name in board.router.agents:
            assert board.router.caller_for(name, self.office.at) is None

    def teardown(self) -> None:
        if not hasattr(self, "office"):
            return
        for uniqueid in list(self.callers):
            self.office.do(ChannelGone(at=self.office.at, uniqueid=uniqueid))
        for leg in self.legs():
            self.gone(leg.channel_id)
        self.office.wait(60)
        for call in list(self.office.board.calls.live.values()):
            for name in list(call.recordings):
                self.office.do(
                    RecordingFinished(
                        at=self.office.at, recording_id=name, call_id=call.call_id, agent=call.agent, path="",
                        started_at=0.0, seconds=0.0, channels=2, bytes=0, sha256="",
                    )
                )  # fmt: skip
        types = Counter(self.office.types())
        assert types["call.arrived"] == types["call.ended"]
        assert types["call.queued"] == types["call.dequeued"]
        ends = sum(types[f"offer.{how}"] for how in ("missed", "rejected", "cancelled", "caller_left"))
        assert types["call.offered"] == ends + types["call.connected"]
        assert types["call.connected"] == types["call.disconnected"] == types["call.wrapped"]
        assert not self.office.board.calls.live
        assert all(a.work == "idle" for a in self.office.board.people.agents.values())


Floor.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFloor = Floor.TestCase
