"""The SIP test kit: callers, agents' phones, load, and ears.

    agent = Agent(server, "2001", secret, answer_after=0.1); await agent.start()
    caller = Caller(server, "6000", number="+628111000001", name="王小明", keys=[(1.0, "1")])
    await caller.start(); call = await agent.next_call(); await caller.wait()

`server` is ("127.0.0.1", sip_port). Times are time.time(). People in this process are precise and cheap;
`sipp_callers` and `sipp_agents` run SIPp, another implementation than ours, as child processes.
"""

from kit.crew import at_work, crew, hired, new_agent, new_number, supervisor
from kit.customers import Customers
from kit.people import Agent, Agents, Caller
from kit.raw import send_raw
from kit.sippkit import LoadResult, sipp_agents, sipp_callers
from kit.sound import loudest, tone, wav_tones
from kit.world import World

__all__ = [
    "Agent",
    "Agents",
    "Caller",
    "Customers",
    "LoadResult",
    "World",
    "at_work",
    "crew",
    "hired",
    "loudest",
    "new_agent",
    "new_number",
    "send_raw",
    "sipp_agents",
    "sipp_callers",
    "supervisor",
    "tone",
    "wav_tones",
]
