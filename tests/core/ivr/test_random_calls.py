"""Random flows over every verb, and random callers: no exception, no endless call, no position that does not survive.

The flows follow the table of verbs; WORTH says what the keys of a verb may hold, so that a new verb needs a line there.
A run is made of seeds: what fails, fails again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from cti.core import ivr
from cti.core.ivr import interpreter
from cti.core.ivr.model import TARGETS
from cti.core.ivr.phone import MAX_STEPS, Phone
from cti.core.ivr.verbs import VERBS

FLOWS = 400
CALLS = 10  # of each flow
NODES = ["n0", "n1", "n2", "n3", "n4", "n5"]
Dice = random.Random

# ---------------------------------------------------------------- random flows

VALUES = [
    "plain", "{{ customer.x }}", "{{ vars.v }}", "{{ vars.v + 1 }}", "{{ n1.outcome }}", "{{ 1 // 0 }}",
    "{{ customer.x * 1000 }}", "{{ call.caller }}", "{{ customer.x == 'vip' }}", "{{ language }}", "{{ hub.digits }}",
]  # fmt: skip
TESTS = [one for one in VALUES if one.startswith("{{")]


def value(dice: Dice) -> str:
    """Plain, or what may come to nothing: then the node ends with an error."""
    return dice.choice(["plain", "{{ call.caller }}", dice.choice(VALUES)])


def target(dice: Dice) -> str:
    return dice.choice([*NODES, *NODES, "hub", "hub", "repeat", "return", "hangup"])


def some(dice: Dice, **keys: Any) -> dict[str, Any]:
    """Each key or not."""
    return {key: inner for key, inner in keys.items() if dice.random() < 0.5}


def spoken(dice: Dice) -> dict[str, Any]:
    say = {"say": dice.choice([value(dice), {"en": value(dice), "id": "halo"}])}
    return dice.choice([say, say, {"play": "hello"}, {"play": ["one", "two"], **say}])


def asked(dice: Dice) -> dict[str, Any]:
    return {
        **spoken(dice),
        **some(
            dice,
            retries=dice.randint(0, 3),
            input_timeout="2s",
            barge_in=dice.random() < 0.5,
            invalid_say=dice.choice(["no", {"en": "no"}, ["no", "no, really"]]),
            timeout_say=["hello?", {"en": "are you there?"}],
        ),
    }


def ask(dice: Dice) -> dict[str, Any]:
    kind = dice.choice(["digits", "phone", "date", "amount", "yes_no"])
    keys = asked(dice) | some(dice, confirm=dice.random() < 0.5, digit_timeout="1s") | {"kind": kind}
    if kind == "digits":
        keys |= some(dice, length=dice.choice([1, 4, "2-6"]), terminator=dice.choice(["#", "*", ""]))
        keys |= some(dice, match="[0-9]{2,4}", secret=True)
        if keys.get("secret"):
            keys = {key: inner for key, inner in keys.items() if key not in ("confirm", "match")}
    return keys


def shares(dice: Dice) -> dict[str, Any]:
    parts = dice.choice([[30], [50, 50], [1, 1, 1]])
    return {"shares": [{"percent": part, "to": target(dice)} for part in parts], "else": target(dice)}


def lookup(dice: Dice) -> dict[str, Any]:
    by = dice.choice(
        [
            {}, {"customer": value(dice)}, {"customer_id": value(dice)},
            {"query": "order", "with": {"ref": value(dice)}}, {"query": "orders", "with": {"ref": value(dice)}},
        ]
    )  # fmt: skip
    return {**by, **some(dice, timeout="1s")}


def http(dice: Dice) -> dict[str, Any]:
    body = dice.choice([{}, {"json": {"a": value(dice)}}, {"form": {"a": value(dice)}}])
    more = some(dice, headers={"X-Test": "1"}, get={"total": "/total"}, timeout="1s")
    url = dice.choice(["https://example.com/a", "https://example.com/{{ customer.x }}"])
    return {"url": url, **(body | {"method": "POST"} if body else {}), **more}


def branch(dice: Dice) -> dict[str, Any]:
    cases = [{"if": dice.choice(TESTS), "to": target(dice)} for _ in range(dice.randint(1, 3))]
    return {"when": cases, "else": target(dice)}


def menu(dice: Dice) -> dict[str, Any]:
    keys = dice.sample("0123*#", dice.randint(1, 4))
    return {**asked(dice), "options": {key: target(dice) for key in keys}}


def callback(dice: Dice) -> dict[str, Any]:
    number = dice.choice([value(dice), "{{ call.caller }}"])
    return {"queue": "sales", **some(dice, number=number, ask=dice.random() < 0.7, retries=1)}


def pay(dice: Dice) -> dict[str, Any]:
    amount = dice.choice([10, 2.5, "{{ customer.x }}", "{{ vars.v }}"])
    return {"amount": amount, "currency": "IDR", "reference": value(dice), **some(dice, retries=1)}


def authenticate(dice: Dice) -> dict[str, Any]:
    return some(dice, customer_id=value(dice), length=dice.choice([4, "4-8"]), retries=1)


def queue(dice: Dice) -> dict[str, Any]:
    keys = {key: target(dice) for key in dice.sample("012*#", dice.randint(1, 3))}
    more = some(dice, options=keys, agent=dice.choice(["ani", *TESTS]))
    return {"queue": "sales", **some(dice, priority=dice.choice(TESTS), max_wait=dice.choice(TESTS)), **more}


def called(dice: Dice) -> dict[str, Any]:
    return {"flow": "u", **some(dice, args={"a": value(dice)})}


def script(dice: Dice) -> dict[str, Any]:
    outcomes = {"yes": target(dice), "no": target(dice)}
    return {"run": "a.py", **some(dice, args={"a": value(dice)}, outcomes=outcomes, timeout="1s")}


WORTH: dict[str, Callable[[Dice], dict[str, Any]]] = {
    "say": lambda dice: {**spoken(dice), **some(dice, barge_in=dice.random() < 0.5)},
    "menu": menu,
    "ask": ask,
    "language": lambda dice: {"language": dice.choice(["en", "id", "zh", "{{ customer.x }}"])},
    "record": lambda dice: {**spoken(dice), **some(dice, max="10s", silence="2s", min="1s")},
    "wait": lambda dice: {"time": "2s", **some(dice, music=True)},
    "hours": lambda dice: {"calendar": "office"},
    "branch": branch,
    "split": shares,
    "set": lambda dice: {"vars": {"v": value(dice)}},
    "goto": lambda dice: {"to": dice.choice(NODES), **some(dice, times=dice.randint(1, 3))},
    "lookup": lookup,
    "http": http,
    "script": script,
    "event": lambda dice: {"event": "happened", **some(dice, data={"a": value(dice)})},
    "message": lambda dice: {"webhook": "sms", **some(dice, body={"a": value(dice)}, timeout="1s")},
    "queue": queue,
    "dial": lambda dice: {"to": dice.choice(["1000", "{{ customer.x }}", "{{ vars.v }}"])},
    "callback": callback,
    "voicemail": lambda dice: {"box": "sales"},
    "transfer": called,
    "survey": lambda dice: {"survey": "after"},
    "pay": pay,
    "authenticate": authenticate,
    "call": lambda dice: {**called(dice), **some(dice, outcomes={"good": target(dice)})},
    "return": lambda dice: some(dice, outcome=dice.choice(["good", "bad"]), values={"r": value(dice)}),
    "hangup": lambda dice: some(dice, cause=21),
}
ENDS = ("hangup", "return", "transfer")


def node(dice: Dice, verb: str) -> dict[str, Any]:
    keys = {"do": verb, **WORTH[verb](dice)}
    for outcome in (*VERBS[verb].outcomes, "then", "fail"):
        needed = outcome in VERBS[verb].needed or dice.random() < 0.4
        if needed and verb not in ENDS and outcome not in keys and not unfit(keys, outcome):
            keys[outcome] = target(dice)
    return keys


def unfit(keys: dict[str, Any], outcome: str) -> bool:
    """Outcomes that a verb has in one of its kinds only."""
    return outcome in ("yes", "no") and keys.get("kind") != "yes_no"


def quiet(dice: Dice, after: str) -> dict[str, Any]:
    """A node that needs no caller; whatever comes of it, `after` follows."""
    made = node(dice, dice.choice(["set", "event", "message", "http", "lookup", "script"]))
    ways = (*VERBS[made["do"]].outcomes, "fail", "outcomes")
    return {**{key: inner for key, inner in made.items() if key not in ways}, "then": after}


def flow(dice: Dice, name: str) -> dict[str, Any]:
    """From its hub every node can be reached; the last one sets what the others read."""
    nodes = {key: node(dice, dice.choice(list(VERBS))) for key in NODES}
    keys = dict(zip("012345", NODES, strict=True))
    nodes["hub"] = {"do": "menu", **menu(dice), "say": "Where to?", "options": keys, "then": target(dice)}
    nodes["n5"] = {"do": "set", "vars": {"v": dice.choice([1, "x", True])}, "then": "hub"}
    made: dict[str, Any] = {"flow": name, "language": "en", "start": "hub", "nodes": nodes}
    made |= some(dice, defaults={"fail": target(dice)})
    if made.get("defaults", {}).get("fail") == "repeat":
        del made["defaults"]
    if dice.random() < 0.6:
        nodes |= {"h0": quiet(dice, "h1"), "h1": quiet(dice, "hangup")}
        made["on_hangup"] = "h0"
    return made | ({"args": {"a": "none"}} if name == "u" else {})


RULES = [{"when": "{{ vars.v == 1 }}", "by": 5}, {"when": "{{ customer.x > 1 }}", "by": -7}]
SQL = "select status, due from orders where reference = :ref"
BESIDE: dict[str, Any] = {
    "queues.yaml": {"queues": {"sales": {"raise": RULES, "last_agent": "20s"}}},
    "calendars.yaml": {"calendars": {"office": {"time_zone": "Asia/Jakarta", "week": {"mon-fri": ["08:00-17:00"]}}}},
    "lookups.yaml": {"lookups": {"order": {"sql": SQL}, "orders": {"sql": SQL, "many": True}}},
    "voicemail.yaml": {"boxes": {"sales": {"say": "Speak", "max": "1m"}}},
    "surveys.yaml": {"surveys": {"after": {"questions": {"good": {"say": "Was it good?", "keys": "1-5"}}}}},
}


def book_of(dice: Dice) -> ivr.Book | list[ivr.Problem]:
    files = {f"{name}.yaml": flow(dice, name) for name in ("t", "u")} | BESIDE
    return ivr.load_book({name: ivr.Source(name, data) for name, data in files.items()}, version=3)


# ---------------------------------------------------------------- random callers

KINDS = {
    "customer": ("found", "none", "several", "error"),
    "query": ("found", "none", "error"),
    "http": ("done", "error"),
    "message": ("done", "error"),
    "script": ("done", "yes", "no", "error"),
    "pay": ("done", "declined", "error"),
    "authenticate": ("done", "wrong", "locked", "no_pin", "error"),
}
DATA: list[Any] = [
    None, True, 0, 7, -1.5, "", "vip", "1000", "+62811555666", "x" * 3000, [1, "a"], {"a": {"b": None}}, 10**15,
]  # fmt: skip
ENTRIES = ["1", "2", "3", "*", "#", "0", "1234#", "1234", "25122026", "0811555666#", "4111111111111111", "1228", "1*5#"]
SEALED = {"card": "4111111111111111#", "expiry": "1228", "code": "123#", "pin": "1234#"}
QUEUE = ("answered", "talked", "timeout", "full", "no_agents", "closed", "left", "failed")


class Checked(Phone):
    """A phone on which every step is looked at."""

    def _proceed(self, answer: ivr.Answer) -> None:
        ours = interpreter.proceed(self.book, self.line, answer, self.context)
        kept = interpreter.proceed(self.book, restored(self.line), answer, self.context)
        assert msgspec.json.encode(ours) == msgspec.json.encode(kept)
        self._took(ours)

    def _took(self, turn: ivr.Turn) -> None:
        for one in turn.trail:
            if isinstance(one, ivr.Visit):
                self._known(one)
        if self.left:
            assert isinstance(turn.action, ivr.Task | ivr.End), "the caller is gone"
        elif not isinstance(turn.action, ivr.End):
            interpreter.again(self.book, restored(turn.line), self.context)
        super()._took(turn)

    def _known(self, visit: ivr.Visit) -> None:
        node = self.book.flows[visit.flow].nodes[visit.node]
        assert visit.verb == node.verb
        known = {*VERBS[node.verb].outcomes, *node.to, "done", "hangup", "fail", *KINDS["script"], "good", "bad"}
        assert visit.outcome in known, visit
        assert visit.to in {"", *TARGETS, *NODES, "hub", "h0", "h1", *self.book.flows}, visit


def restored(line: ivr.Line) -> ivr.Line:
    """A position as it comes back from the journal."""
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(msgspec.to_builtins(line))), ivr.Line)


def call(dice: Dice, book: ivr.Book) -> Phone:
    phone = Checked(
        book,
        "t",
        dice.choice([None, "en", "id", "zh"]),
        caller=dice.choice(["", "+62811555666", "1000"]),
        called="6000",
        customer=dice.choice([{}, {"x": dice.choice(DATA), "customer_id": 7}]),
        at=1_767_000_000.0 + dice.randint(0, 10**7),
    )
    while not phone.ended:
        act(dice, phone)
    return phone


def act(dice: Dice, phone: Phone) -> None:
    """Something happens: the caller does it, or somebody else."""
    if not phone.left and dice.random() < 0.02:
        phone.hang_up()
    elif dice.random() < 0.05:
        phone.press(dice.choice(ENTRIES))
    elif isinstance(phone.action, ivr.Say | ivr.Ask | ivr.Record) and dice.random() < 0.03:
        phone._proceed(ivr.Answer("error"))
    elif isinstance(task := phone.action, ivr.Task):
        data = {dice.choice(["x", "status", "token", "last4", "rows", "left"]): dice.choice(DATA) for _ in range(2)}
        phone.task_ended(ivr.Answer(dice.choice(KINDS[task.kind]), data=data))
    elif not phone.advance():
        answer(dice, phone)


def answer(dice: Dice, phone: Phone) -> None:
    match phone.action:
        case ivr.Ask(seal=seal):
            if dice.random() < 0.7:
                phone.press(dice.choice([SEALED.get(seal, "1"), dice.choice(ENTRIES)]))
            else:
                phone.nothing()
        case ivr.Enqueue(keys=keys) if keys and dice.random() < 0.5:
            phone.press(dice.choice([*ENTRIES, *keys]))
        case ivr.Enqueue():
            phone.queue_ended(dice.choice(QUEUE))
        case ivr.Dial():
            phone.dial_ended(dice.choice(["answered", "talked", "busy", "no_answer", "fail"]))
        case ivr.Record():
            phone.recorded(dice.choice([0.0, 1.0, 12.0]))


def books(seeds: range) -> Iterator[tuple[int, ivr.Book]]:
    """The flows that may be published; a loop in which nobody is asked, or the like, may not."""
    for seed in seeds:
        made = book_of(Dice(seed))
        if isinstance(made, ivr.Book):
            yield seed, made


@pytest.fixture
def unguarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong in the interpreter is seen; in a real call it ends that call alone."""
    monkeypatch.setattr(interpreter, "_guarded", lambda _line, step: step())


def test_every_verb_is_in_the_table() -> None:
    assert VERBS.keys() <= WORTH.keys()


def test_random_callers_on_random_flows(unguarded: None) -> None:
    verbs: Counter[str] = Counter()
    found = 0
    for seed, book in books(range(FLOWS)):
        found += 1
        for number in range(CALLS):
            phone = call(Dice(seed * 1_000 + number), book)
            where = f"flow {seed}, call {number}: {phone.path[-5:]}"
            assert phone.outcome not in ("", "endless"), where
            assert phone._steps < MAX_STEPS, where
            verbs.update(book.flows[one.flow].nodes[one.node].verb for one in phone.path)
    assert found > FLOWS // 3, "many random flows are good ones"
    assert VERBS.keys() <= verbs.keys(), "each verb was in a call"
