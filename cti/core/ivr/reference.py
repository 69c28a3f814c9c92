"""What each verb is for, its keys and its outcomes, in words: the page `docs/nodes.md` and the hints of editors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cti.core.ivr.verbs import COMMON, FAILURES, VERBS, empty_scope


class Words(msgspec.Struct, frozen=True):
    """About one verb. `keys` and `outcomes`: those that are not in COMMON_KEYS and COMMON_OUTCOMES."""

    what: str
    example: str
    keys: Mapping[str, str] = {}
    outcomes: Mapping[str, str] = {}
    result: Mapping[str, str] = {}


COMMON_KEYS = {
    "say": "Text for the voice: `{language: text}`, or one text in the flow's language. May hold `{{ }}`.",
    "play": "A recorded prompt, or a list: `hello` is `prompts/<language>/hello.wav`. Played before `say`.",
    "barge_in": "`true`: a key ends the prompt. `false`: it is heard to its end, and the key is kept.",
    "retries": "Misses forgiven, of each kind: nothing pressed, and a wrong answer. 0 to 9; 2.",
    "input_timeout": "How long to wait for the first key, from the end of the prompt. 1s to 60s; 5s.",
    "digit_timeout": "How long to wait for each further key. 1s to 60s; 3s.",
    "invalid_say": "Said after a wrong answer, then the prompt again. A list escalates: the last one repeats.",
    "timeout_say": "Said when nothing was pressed, then the prompt again. A list escalates.",
    "timeout": "How long it may take; then the outcome is `error`.",
    "args": "What is handed over, by name: constants or `{{ }}`.",
    "outcomes": "`{name: target}`: the outcomes that are given back, and where they lead.",
}
COMMON_OUTCOMES = {
    "error": "It could not be done.",
    "timeout": "Nothing was pressed, once too often.",
    "invalid": "Wrong answers, once too often.",
}

WORDS: dict[str, Words] = {
    "say": Words(
        "Speaks or plays something.",
        'greet: {do: say, say: {en: "Welcome", zh: "欢迎", id: "Selamat datang"}, then: menu}',
    ),
    "menu": Words(
        "Asks for one key. A key pressed before the prompt ends counts.",
        'menu:\n  do: menu\n  say: {en: "For sales press 1, for support press 2"}\n'
        '  options: {"1": sales, "2": support, "*": repeat}\n  fail: operator',
        keys={"options": "`{key: target}`; keys are `0`-`9`, `*`, `#` in quotes, or `star`, `hash`."},
        outcomes={"timeout": COMMON_OUTCOMES["timeout"], "invalid": COMMON_OUTCOMES["invalid"]},
        result={"digits": "the key"},
    ),
    "ask": Words(
        "Asks for digits and makes a value of them.",
        'number:\n  do: ask\n  say: {en: "Enter your order number, then press hash"}\n'
        '  length: "4-8"\n  then: find_order\n  fail: operator',
        keys={
            "kind": "`digits`, `phone`, `date` (DDMMYYYY), `amount` (`*` is the decimal point), `yes_no` (1, 2).",
            "length": 'Of digits: `6`, or `"4-8"`; 1 to 20. At the greatest length nobody waits for the terminator.',
            "terminator": 'The key that ends it: `"#"`, `"*"`, or `""` for none.',
            "match": 'A pattern the digits must fit, like `"62[0-9]{6,10}"`.',
            "confirm": "`true`: what was understood is said, and 1 confirms it.",
            "secret": "`true`: the digits are seen nowhere; other nodes name them as `{digits: NODE}`.",
        },
        outcomes={"yes": "Of `yes_no`.", "no": "Of `yes_no`."},
        result={
            "value": "text, E.164, ISO date, number, or true and false; null when secret",
            "digits": "the keys as pressed",
        },
    ),
    "language": Words(
        "What is spoken from here on, in this call.",
        'to_chinese: {do: language, language: zh, then: menu}',
        keys={"language": "A language, or an expression like `{{ customer.language }}`."},
    ),
    "record": Words(
        "Records the caller until a key, silence, or the longest time.",
        'wish: {do: record, say: {en: "Tell us after the tone"}, max: 60s, then: thanks}',
        keys={
            "max": "The longest message. 1s to 600s; 60s.",
            "silence": "The silence that ends it. 1s to 30s; 4s.",
            "min": "A shorter one is `empty`. 2s.",
        },
        outcomes={"empty": "Nothing, or less than `min`."},
        result={"recording_id": "its file, under Recordings", "seconds": "its length"},
    ),
    "wait": Words(
        "Waits; keys are kept for the next question.",
        "hold_on: {do: wait, time: 3s, music: true, then: menu}",
        keys={"time": "0.1s to 600s.", "music": "`true`: with music."},
    ),
    "hours": Words(
        "Asks a calendar.",
        "open: {do: hours, calendar: office, open: menu, closed: leave_msg, holiday: leave_msg}",
        keys={"calendar": "A name in `calendars.yaml`."},
        outcomes={
            "open": "Open now.", "closed": "Outside of its hours.",
            "holiday": "A holiday; when it is not named, `closed` is taken.",
        },
        result={
            "state": "open, closed or holiday", "holiday": "its name",
            "next_open": "when it opens next, local time, for `{{ open.next_open | time }}` and `| date`",
        },
    ),
    "branch": Words(
        "Takes the first condition that is true.",
        "who: {do: branch, when: [{if: \"{{ customer.tier == 'vip' }}\", to: vip}], else: menu}",
        keys={"when": "A list of `{if: \"{{ condition }}\", to: target}`."},
        outcomes={"else": "None of them is."},
    ),
    "split": Words(
        "Sends parts of the callers different ways; the same caller always goes the same way.",
        "trial: {do: split, shares: [{percent: 10, to: new_menu}], else: menu}",
        keys={"shares": "A list of `{percent: N, to: target}`, together at most 100."},
        outcomes={"else": "The rest."},
    ),
    "set": Words(
        "Gives values to `vars.NAME`.",
        'mark: {do: set, vars: {topic: billing, n: "{{ vars.n + 1 }}"}, then: menu}',
        keys={"vars": "`{name: value}`. A variable declared in the flow's `vars:` keeps its type."},
    ),
    "goto": Words(
        "A way back that ends: after so many times it is `exhausted`.",
        "again: {do: goto, to: menu, times: 3, exhausted: operator}",
        keys={"times": "1 to 20; 3."},
        outcomes={"to": "Where to.", "exhausted": "Was there so often already."},
    ),
    "lookup": Words(
        "Finds a customer, or asks the database a question of `lookups.yaml`.",
        "find_order:\n  do: lookup\n  query: order\n  with: {reference: \"{{ number.value }}\"}\n"
        "  found: tell\n  none: not_found\n  error: operator",
        keys={
            "customer": "A number; the caller's when nothing is given. Who is found is `customer.*` from here on, for "
            "the agent's page too.",
            "customer_id": "A customer's id, instead of a number.",
            "query": "A name in `lookups.yaml`, instead of a customer.",
            "with": "`{name: value}` for each `:name` of the query; `{digits: NODE}` for secret digits.",
            "many": "`true`: all rows (100 at most) as `NODE.rows`, with `NODE.count`.",
            "timeout": "0.1s to 10s; 2s.",
        },
        outcomes={"found": "One, or more rows.", "none": "Nothing.", "several": "More than one customer."},
        result={"...": "the columns of the row, or the fields of the customer"},
    ),
    "http": Words(
        "Asks another server. Private addresses are refused unless `[outside] allow` names them.",
        "stock:\n  do: http\n  url: \"https://erp.example.com/stock/{{ number.value }}\"\n"
        "  headers: {Authorization: {secret: erp_key}}\n  get: {left: /stock/left}\n  then: tell\n  error: operator",
        keys={
            "url": "Where; the host is no expression, and what `{{ }}` puts in is encoded.",
            "method": "`GET`, `POST`, `PUT`, `PATCH` or `DELETE`; GET.",
            "headers": "`{name: value}`; `{secret: NAME}` for a value of `[secrets]` in `cti.toml`.",
            "json": "`{name: value}`, sent as JSON.",
            "form": "`{name: value}`, sent as a form.",
            "get": "`{name: JSON pointer}`: what of the answer becomes `NODE.name`.",
            "timeout": "0.1s to 15s; 3s.",
        },
        outcomes={"error": "No answer, too late, too much, or a status that is not 2xx."},
        result={"status": "the HTTP status", "...": "the names of `get`"},
    ),
    "script": Words(
        "Runs a Python program of your own, in its own process: JSON in (`{args, call}`), a JSON object out.",
        "price: {do: script, run: price.py, args: {item: \"{{ number.value }}\"}, then: tell, error: operator}",
        keys={"run": "A file in `scripts/`.", "timeout": "0.1s to 30s; 5s. Then it is ended, with all it started."},
        result={"...": "what it printed"},
    ),
    "event": Words(
        "Writes an event into the call's story.",
        "note: {do: event, event: order_asked, data: {reference: \"{{ number.value }}\"}, then: menu}",
        keys={"event": "Its name.", "data": "`{name: value}`."},
    ),
    "message": Words(
        "Tells another system (SMS, mail, chat) through a webhook.",
        "sms: {do: message, webhook: sms, body: {to: \"{{ call.caller }}\", text: \"Thank you\"}, then: hangup}",
        keys={
            "webhook": "A name in `[webhooks]` of `cti.toml`.", "body": "`{name: value}`, sent as JSON.",
            "timeout": "0.1s to 15s; 3s.",
        },
    ),
    "queue": Words(
        "Waits for an agent, with music. Who comes first stands in [routing.md](routing.md).",
        'sales:\n  do: queue\n  queue: sales\n  skills: {english: 3}\n  max_wait: 5m\n'
        '  options: {"1": call_me, "2": leave_msg}\n  answered: rate_us\n  timeout: call_me',
        keys={
            "queue": "A name in `queues.yaml`.",
            "skills": "`{skill: level}`, merged with the queue's: the higher wins.",
            "priority": "-1000 to 1000, higher first; instead of the queue's. Its `raise` rules are added.",
            "max_wait": "Instead of the queue's.",
            "options": "`{key: target}`: keys that end the wait. A `callback` node for the same queue keeps his place.",
            "agent": "The login of an agent who alone is offered the call at first, or an expression for it, "
            "like `{{ customer.attributes.owner }}` or `{{ call.last_agent }}`; null: any agent.",
            "agent_for": "How long he is waited for, while he is signed on and not away. 1s to 3600s; 20s.",
        },
        outcomes={
            "answered": "Talked to an agent, who has hung up.", "timeout": "Waited `max_wait`.",
            "full": "`max_size` others wait, or its `overflow` says so.",
            "no_agents": "Nobody is signed on who could ever take the call.", "closed": "Its calendar is closed.",
            "left": "Taken out of the queue.", "failed": "It could not be done.",
        },
        result={"key": "the key of `options` that ended the wait; empty: none did"},
    ),
    "dial": Words(
        "Rings a station or an outside number.",
        'operator: {do: dial, to: "1000", busy: leave_msg, then: hangup}',
        keys={
            "to": "2 to 6 digits, or a number. Premium, satellite and emergency numbers are refused: outcome `fail`.",
            "ring": "How long. 5s to 120s; 30s.",
        },
        outcomes={"answered": "They talked.", "busy": "Busy.", "no_answer": "Nobody picked up."},
    ),
    "callback": Words(
        "Asks to which number to call back, checks it, and writes the request down. After a wait in the same queue\n"
        "his place is kept; else his time begins now.",
        "call_me: {do: callback, queue: sales, then: hangup}",
        keys={
            "queue": "Whose agents call.", "number": "The number that is offered; the caller's.",
            "ask": "`false`: takes that number without a question.",
        },
        outcomes={"invalid": "No number that can be called."},
        result={"number": "E.164"},
    ),
    "voicemail": Words(
        "Takes a message for a box of `voicemail.yaml`. A caller who hangs up while he speaks has left it, too.",
        "leave_msg: {do: voicemail, box: support, then: hangup}",
        keys={"box": "A name in `voicemail.yaml`."},
        outcomes={"empty": "Nothing was said."},
        result={"recording_id": "its file", "seconds": "its length"},
    ),
    "transfer": Words(
        "Goes on in another flow, and does not come back.",
        "to_sales: {do: transfer, flow: sales}",
        keys={"flow": "The name of a flow.", "args": "`{name: value}` for its `args:`."},
    ),
    "survey": Words(
        "Asks the questions of a survey in `surveys.yaml`.",
        "rate_us: {do: survey, survey: after_call, then: hangup}",
        keys={"survey": "A name in `surveys.yaml`."},
        outcomes={"skipped": "No question was answered."},
        result={"...": "the answers, by question"},
    ),
    "pay": Words(
        "Takes a card with the keys and has it turned into a token. The digits go to the tokeniser of `[payment]`\n"
        "and are seen nowhere else: no recording, log, event or page has them.",
        "card: {do: pay, amount: \"{{ find_order.amount }}\", currency: IDR, then: paid, fail: operator}",
        keys={"amount": "A number.", "currency": "Three letters.", "reference": "What it is for."},
        outcomes={"declined": "The card was refused."},
        result={
            "token": "stands for the card", "last4": "its last digits", "brand": "its make", "reason": "why declined",
        },
    ),
    "authenticate": Words(
        "Asks for a customer's PIN. Five wrong ones lock it for 15 minutes. Agents see whether it was right, and not "
        "the customer of a lookup any more when it was wrong.",
        "pin: {do: authenticate, then: account, wrong: operator, locked: operator, fail: operator}",
        keys={"customer_id": "Whose; the customer's of this call.", "length": 'Of the PIN; `"4-8"`.'},
        outcomes={
            "wrong": "Wrong, once too often.", "locked": "Too many wrong ones.",
            "no_pin": "There is no PIN, or no customer.",
        },
        result={"left": "tries left", "until": "until when it is locked"},
    ),
    "call": Words(
        "Runs another flow and comes back with what it gives.",
        'who: {do: call, flow: identify, args: {tries: 2}, outcomes: {known: account}, then: menu}',
        keys={"flow": "The name of a flow.", "args": "`{name: value}` for its `args:`."},
        result={"...": "the `values` of its `return`"},
    ),
    "return": Words(
        "Ends this flow; the one that called it goes on. Without one, the call ends.",
        "known: {do: return, outcome: known, values: {customer_id: \"{{ customer.customer_id }}\"}}",
        keys={"outcome": "How the `call` node ends; `done`.", "values": "`{name: value}`: its result."},
    ),
    "hangup": Words(
        "Ends the call.",
        "busy: {do: hangup, cause: 17}",
        keys={"cause": "A Q.850 number, 1 to 127; 16 is a normal end."},
    ),
}  # fmt: skip


def key_text(verb: str, key: str) -> str:
    return WORDS[verb].keys.get(key) or COMMON_KEYS.get(key, "")


def outcome_text(verb: str, outcome: str) -> str:
    return WORDS[verb].outcomes.get(outcome) or COMMON_OUTCOMES.get(outcome, "")


def keys_of(verb: str) -> list[str]:
    return list(VERBS[verb].keys(empty_scope()))


def page() -> str:
    """docs/nodes.md"""
    head = (
        "# Nodes of a flow\n\n"
        "Written by `cti flow reference` from the table of verbs; edits are lost. How flows work stands in "
        "[flows.md](flows.md).\n\n"
        "Every node may have `then`, `fail` and `note`. An outcome that is not named goes to `then`, else to `fail`, "
        "else to the flow's `fail`, else the call ends. Where it says **strict**, an outcome that says it went wrong "
        f"({', '.join(f'`{one}`' for one in FAILURES)}) never takes `then`.\n"
    )
    return head + "".join(f"\n{_section(verb)}" for verb in VERBS)


def _section(verb: str) -> str:
    row, words = VERBS[verb], WORDS[verb]
    lines = [f"## {verb}", words.what, "```yaml", words.example, "```"]
    lines += _table("key", {_needed(verb, key): key_text(verb, key) for key in keys_of(verb)})
    lines += _table("outcome", {f"`{one}`": outcome_text(verb, one) for one in row.outcomes})
    lines += _table(f"`NODE.` of {verb}", {f"`{name}`": text for name, text in words.result.items()})
    notes = ["**strict**"] if row.strict else []
    if row.ends and not row.outcomes:
        notes.append(f"Has no {', '.join(f'`{one}`' for one in COMMON)}.")
    return "\n".join([*lines, *notes, ""])


def _needed(verb: str, key: str) -> str:
    return f"`{key}` (needed)" if key in VERBS[verb].needed else f"`{key}`"


def _table(what: str, rows: Mapping[str, Any]) -> list[str]:
    if not rows:
        return []
    return ["", f"| {what} | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items()), ""]
