"""queues.yaml: every key is read; what is wrong, contradicts itself or is not there is told with its place."""

from __future__ import annotations

import pytest
from flowbook import HEAD, book_of, problems_of

from cti.core.ivr import Book, load_book
from cti.core.ivr.source import Source
from cti.core.messages import Sound, Text
from cti.core.queues import Announce, CallbackRules, Capacity, Overflow, Relax, Routing, Whisper

WAIT = "  a: {do: queue, queue: sales, then: hangup}\n"
CALENDARS = "calendars: {office: {}, lunch: {}}\n"
ALL = """routing: {aging: 30s, balance: true, outbound_counts: false}
queues:
  sales:
    relax:
      - {after: 60s, also: {support: 2}, skills: {sales: 0}}
      - {after: 30s, also: {support: 3}}
      - {after: 2m, any_agent: true}
    agents: best_level
    idle_limit: 5m
    last_agent: 20s
    raise:
      - {when: "{{ customer.tier == 'vip' }}", by: 10}
      - {when: "{{ call.repeat > 1 and language != 'en' }}", by: -3}
    return_within: 10m
    overflow: {wait: 5m, ratio: 2.5, no_agents: 0s, closing: true}
    capacity: [{calls: 0, calendar: lunch}, {calls: 10}]
    keep_idle: 2
    music: jazz
    whisper: {en: "Sales", id: "Penjualan"}
    announce: {position: true, wait: true, first: 10s, every: 30s, say: {en: "Please hold"}, play: [hello, news]}
    callback: {tries: 2, every: 5m, expires: 2h, calendar: lunch, ring: 20s, countries: [SG, MY, SG]}
    calendar: office
  support: {capacity: 3, whisper: {play: beep}}
"""


def told(queue: str, **files: str) -> list[str]:
    """The problems of a queue `sales` with these keys."""
    return problems_of(WAIT, queues=f"queues: {{sales: {{{queue}}}}}\n", calendars=CALENDARS, **files)


def test_every_setting_is_read() -> None:
    book = book_of(WAIT, queues=ALL, calendars=CALENDARS)
    assert book.routing == Routing(30.0, True, False)
    sales, support = book.queues["sales"], book.queues["support"]
    assert sales.relax == (
        Relax(30.0, also={"support": 3}),
        Relax(60.0, skills={"sales": 0}, also={"support": 2}),
        Relax(120.0, any_agent=True),
    )
    assert (sales.agents, sales.idle_limit, sales.last_agent, sales.return_within) == ("best_level", 300, 20, 600)
    assert [(rule.when.source, rule.by) for rule in sales.raises] == [
        ("{{ customer.tier == 'vip' }}", 10),
        ("{{ call.repeat > 1 and language != 'en' }}", -3),
    ]
    assert sales.overflow == Overflow(300.0, 2.5, 0.0, True)
    assert sales.capacity == (Capacity(0, "lunch"), Capacity(10))
    assert (sales.keep_idle, sales.music) == (2, "jazz")
    assert sales.whisper == Whisper({"en": "Sales", "id": "Penjualan"})
    assert sales.announce == Announce(True, True, 30.0, 10.0, {"en": "Please hold"}, ("hello", "news"))
    assert sales.callback == CallbackRules(2, 300.0, 7200.0, "lunch", 20.0, ("SG", "MY"))
    assert (support.capacity, support.whisper) == ((Capacity(3),), Whisper(name="beep"))


def test_a_queue_of_which_nothing_is_said_is_as_the_structs_say() -> None:
    book = book_of(WAIT)
    assert book.routing == Routing()
    assert book.queues["sales"].overflow == Overflow() and book.queues["sales"].raises == ()
    assert book_of("  a: {do: hangup}\n", queues="queues: {}\n").queues == {}
    bare = load_book({"t.yaml": Source("t.yaml", {
        "flow": "t", "language": "en", "start": "a", "nodes": {"a": {"do": "hangup"}}})})  # fmt: skip
    assert isinstance(bare, Book) and (bare.queues, bare.routing) == ({}, Routing())


@pytest.mark.parametrize(
    ("routing", "problem"),
    [
        ("{aging: 2h}", "`aging` must be from 0s to 1h"),
        ("{aging: 60}", "`aging` must be a duration (like 5s, 2m or 1h)"),
        ("{ageing: 1s}", "`ageing` is no key of `routing` (did you mean `aging`?)"),
        ("{balance: 1}", "`balance` must be true or false"),
        ("[]", "`routing` must be a map"),
        ("", "`routing` has no value"),
    ],
)
def test_routing_of_all_queues(routing: str, problem: str) -> None:
    found = problems_of(WAIT, queues=f"routing: {routing}\nqueues: {{sales: {{}}}}\n")
    assert len(found) == 1 and problem in found[0], found


@pytest.mark.parametrize(
    ("queue", "problem"),
    [
        # relaxing
        ("relax: [{after: 5s, skills: {}}]", "queues.yaml:1:38: `skills: {}` changes nothing (name a skill)"),
        ("relax: [{after: 5s, also: {}}]", "`also: {}` changes nothing"),
        ("relax: [{after: 5s, also: {x: 0}}]", "this lets every agent in (write `any_agent: true`)"),
        ("relax: [{after: 5s, also: {x: 1}, any_agent: true}]", "a relax step needs `skills` or `also`, or"),
        ("relax: [{after: 5s, also: {any: 1}}]", "`any` is not possible here"),
        ("relax: [{after: 5s, skills: {sales: 10}}]", "`sales` must be a whole number from 0 to 9"),
        ("relax: [{after: 5s, skills: {sales: 1}}]",
         "queues.yaml:1:26: this relax step changes nothing (lower a level, or let others in"),
        ("relax: [{after: 5s, skills: {sales: 2}}]", "cannot ask for more: `sales` is 1 before it (lower it; 0: not"),
        ("skills: {en: 3, fr: 2}, relax: [{after: 5s, skills: {en: 2, fr: 1}}, {after: 9s, skills: {en: 3}}]",
         "cannot ask for more: `en` is 2 before it"),
        ("skills: {any: [{en: 3}, {id: 2}]}, relax: [{after: 5s, skills: {en: 4}}]", "more: `en` is 3 before it"),
        ("skills: {any: [{en: 3}, {id: 2}]}, relax: [{after: 5s, skills: {en: 3}}]", "relax step changes nothing"),
        ("relax: [{after: 5s, also: {x: 1}}, {after: 9s, also: {x: 1}}]", "this relax step changes nothing"),
        ("relax: [{after: 5s, any_agent: true}, {after: 9s, also: {x: 1}}]",
         "changes nothing: any agent may take the call already (remove it)"),
        ("relax: [{after: 5s, any_agent: true}, {after: 9s, any_agent: true}]", "any agent may take the call already"),
        ("relax: [{after: 60s, also: {x: 1}}, {after: 1m, any_agent: true}]",
         "queues.yaml:1:62: two relax steps come after 1m (put them into one, or choose another time)"),
        (f"relax: [{', '.join(f'{{after: {n}s, also: {{s{n}: 1}}}}' for n in range(21))}]",
         "`relax` has at most 20 steps"),
        (f"skills: {{{', '.join(f's{n}: 1' for n in range(51))}}}", "at most 50 skills are possible here"),
        ("skills: {any: [{en: 3}, {}]}", "1:42: this alternative lets every agent in (name a skill, or remove `any`)"),
        ("skills: {any: [{en: 0}]}", "this alternative lets every agent in"),
        ("skills: {any: [{en: 11}]}", "`en` must be a whole number"),
        ("skills: {any: [5]}", "skills must be a map"),
        # agents
        ("agents: random", "must be one of longest_idle, fastest, best_level"),
        ("agents: [longest_idle, fastest]", "`agents` must be one of longest_idle, fastest, best_level"),
        ("skills: {any: {english: 3, dutch: 1}}", "1:32: `any` must be a list, `[...]`"),
        ('relax: [{after: 5s, any_agent: "true"}]', "1:49: `any_agent` must be true or false"),
        ("relax: [{after: 5s, any_agent: false}]", "`any_agent: false` changes nothing"),
        ('priority: "5"', "`priority` must be a whole number from -1000 to 1000 (without quotes)"),
        ("overflow: wait:5m", "`overflow` must be a map, `key: value` (a blank after the `:`)"),
        ("idle_limit: 25h", "`idle_limit` must be from 0s to 1d"),
        ("last_agent: 2m, max_wait: 1m", "1:30: nobody waits so long for one agent: `max_wait` is 1m"),
        ("keep_idle: -1", "`keep_idle` must be a whole number from 0 to 1000"),
        # priority
        ("raise: {}", "`raise` must be a list"),
        ("raise: [{by: 5}]", "a rule needs `when`"),
        ('raise: [{when: "{{ true }}"}]', "a rule needs `by`"),
        ('raise: [{when: "{{ true }}", by: 0}]', "`by: 0` changes nothing (above 0: sooner; below: later)"),
        ('raise: [{when: "{{ true }}", by: 1001}]', "`by` must be a whole number from -1000 to 1000"),
        ('raise: [{when: "vip", by: 1}]', "a condition is one expression"),
        ('raise: [{when: "{{ 1 }} == {{ 2 }}", by: 1}]', "this is text with several (it is always true: write one"),
        ('raise: [{when: "{{ custmer.tier }}", by: 1}]', "`custmer` is no variable a flow has (did you mean `cu"),
        ('raise: [{when: "{{ call.repeats }}", by: 1}]', "`call.repeats` is no variable a flow has"),
        ('raise: [{when: "{{ vars.x }}", by: 1}]', "`vars.x` is no variable a flow has"),
        ('raise: [{when: "{{ sales.outcome }}", by: 1}]', "`sales` is no variable a flow has"),
        ('raise: [{when: "{{ 9**9 }}", by: 1}]', "powers (`**`) are not allowed"),
        ('raise: [{when: "{{ call.__class__ }}", by: 1}]', "out of reach"),
        ('raise: [{when: "{{ 1 }}", by: 1}, {when: "{{ 1 }}", by: 2}]', "this condition is there twice"),
        # leaving
        ("return_within: forever", "`return_within` must be a duration"),
        ("overflow: {ratio: 0}", "`ratio` must be a number above 0, at most 1000 (callers who wait, for each agent)"),
        ("overflow: {ratio: -1}", "`ratio` must be a number above 0"),
        ("overflow: {ratio: .nan}", "`.nan` must be quoted"),
        ('overflow: {ratio: ".inf"}', "`ratio` must be a number above 0"),
        ("overflow: {ratio: true}", "`ratio` must be a number above 0"),
        ("overflow: {wait: 0s}", "`wait` must be from 1s to 1d"),
        ("overflow: {closing: true}", "a queue without a calendar never closes (`calendar: NAME` of the queue)"),
        ("max_wait: 1m, overflow: {no_agents: 2m}", "nobody waits so long: `max_wait` is 1m"),
        # capacity
        ("capacity: 0", "`capacity` must be a whole number from 1 to 100000"),
        ("capacity: []", "`capacity` is a number, or a list of 1 to 20"),
        ("capacity: [{calendar: lunch}]", "a capacity needs `calls`"),
        ("capacity: [{calls: 0}]", "with `calls: 0` at all times nobody is ever served"),
        ("capacity: [{calls: 3}, {calls: 1, calendar: lunch}]", "this capacity never counts (the first that holds"),
        ("capacity: [{calls: 3, calendar: lunch}, {calls: 1, calendar: lunch}]", "this capacity never counts"),
        ("capacity: [{calls: 3, calendar: lunhc}]",
         "calendar `lunhc` is not in calendars.yaml (did you mean `lunch`?)"),
        # what is heard
        ("music: ../../etc", "`../../etc` is not a plain name"),
        ("whisper: Sales", 'queues.yaml:1:27: `whisper` needs a text by language (like {en: "..."})'),
        ("whisper: {}", "`whisper` needs at least one text"),
        ("whisper: []", "`whisper` must be a map"),
        ("whisper: {english: hi}", "`english` is no language"),
        (f"whisper: {{en: {'x' * 201}}}", "this text has at most 200 characters"),
        ('whisper: {en: "{{ call.caller }}"}', "this text is the same for every call (write it without {{ }})"),
        ("whisper: {play: x, en: y}", "`en` is no key of a whisper with `play`"),
        ("announce: {}", "1:18: this announcement says nothing (position: true, wait: true, `say` or `play`"),
        ("announce: {position: false, every: 30s}", "this announcement says nothing"),
        ("announce: {say: {en: 5}}", "`en` must be text"),
        ("announce: {play: []}", "`play` needs at least one prompt"),
        (f"announce: {{play: [{', '.join(['x'] * 21)}]}}", "`play` has at most 20 prompts"),
        # callbacks
        ("callback: {tries: 0}", "`tries` must be a whole number from 1 to 20"),
        ("callback: {every: 10s}", "`every` must be from 1m to 1d"),
        ("callback: {expires: 31d}", "`expires` must be from 5m to 30d"),
        ("callback: {tries: 5, every: 1h, expires: 4h}",
         "1:59: the last try never comes: 5 tries, one every 1h, take longer than 4h (fewer tries"),
        ("callback: {tries: 20, every: 6h}", "1:36: the last try never comes"),
        ("callback: {countries: SG}", "`countries` must be a list, `[...]`"),
        ("callback: {countries: [SG, sg]}", "1:45: `sg` is no country with numbers of its own (two capital letters"),
        ("callback: {countries: [5]}", "`5` is no country with numbers of its own"),
        ("callback: {calendar: x}", "calendar `x` is not in calendars.yaml (known: lunch, office)"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_once(queue: str, problem: str) -> None:
    found = told(queue)
    assert len(found) == 1 and problem in found[0], found


def test_a_list_where_a_word_is_meant_has_no_strange_letter() -> None:
    assert told("agents: [longest_idle, fastest]")[0].endswith("best_level")


@pytest.mark.parametrize(
    "queue",
    [
        "skills: {}, relax: [{after: 5s, skills: {polish: 0}}]",  # that a node asks for
        "relax: [{after: 5s, skills: {polish: 3}}, {after: 9s, skills: {polish: 1}}]",
        "skills: {}, relax: [{after: 5s, any_agent: true}]",
        "skills: {any: [{en: 3}, {id: 3}]}, relax: [{after: 5s, skills: {en: 1}}]",
        "relax: [{after: 5s, also: {x: 2}}, {after: 9s, also: {x: 1}}]",
        "max_wait: 1m, last_agent: 1m, overflow: {no_agents: 1m}",
        "callback: {tries: 1, every: 1d, expires: 5m}",
        "capacity: [{calls: 0, calendar: lunch}]",
        "announce: {play: hello}",
    ],
)
def test_what_makes_sense_is_not_refused(queue: str) -> None:
    other = WAIT.replace("then", "skills: {polish: 4}, then").replace("a:", "b:")
    assert problems_of(WAIT + other, queues=f"queues: {{sales: {{{queue}}}}}\n", calendars=CALENDARS) == []


def test_a_step_that_lowers_what_nobody_asks_for_is_told() -> None:
    """Once the flows can be read: else a node may ask for it."""
    relax = "relax: [{after: 9s, skills: {any_english: 2}}, {after: 5s, skills: {englsh: 1}}]"
    queue = f"skills: {{any: [{{english: 3}}, {{dutch: 1}}]}}, {relax}"
    assert told(queue) == [
        "queues.yaml:1:90: neither the queue nor a node asks for `any_english`, so there is nothing to lower"
        " (did you mean `english`?)",
        "queues.yaml:1:129: neither the queue nor a node asks for `englsh`, so there is nothing to lower"
        " (did you mean `english`?)",
    ]
    assert [one.split(":")[0] for one in told(queue, u="flow: [\n")] == ["u.yaml"]
    kept = {"queues": {"sales": {"relax": [{"after": "5s", "skills": {"englsh": 1}}]}}}
    assert isinstance(load_book({"queues.yaml": Source("queues.yaml", kept)}, version=7), Book)


def test_a_step_that_drops_what_nobody_asks_for_is_noted() -> None:
    queues = {"queues": {"sales": {"skills": {"english": 1}, "relax": [{"after": "5s", "skills": {"dutch": 0}}]}}}
    book = load_book({"queues.yaml": Source("queues.yaml", queues)})
    assert isinstance(book, Book)
    assert [one.message for one in book.notes] == [
        "queue sales: neither the queue nor a node asks for `dutch`, so there is nothing to lower"
    ]


def test_a_version_that_was_published_is_served_though_a_step_of_it_changes_nothing() -> None:
    """What made no problem when it was published makes none when the server starts again."""
    steps = [{"after": "5s", "any_agent": True}] * 30
    many = {f"q{number}": {} for number in range(1_001)} | {"sales": {"relax": steps, "announce": {"every": "30s"}}}
    files = {"queues.yaml": Source("queues.yaml", {"queues": many})}
    served = load_book(files, version=7)
    assert isinstance(served, Book) and len(served.queues["sales"].relax) == 30
    problems = load_book(files)
    assert isinstance(problems, list)
    assert {"at most 1000 queues are possible", "`relax` has at most 20 steps"} <= {one.message for one in problems}


# ---------------------------------------------------------------- rules and variables


def test_rules_know_the_variables_of_all_flows() -> None:
    rule = 'raise: [{when: "{{ vars.urgent }}", by: 1}]'
    assert "did you mean" not in told(rule)[0]
    other = "flow: u\nlanguage: en\nstart: s\nnodes:\n  s: {do: set, vars: {urgent: true}, then: hangup}\n"
    assert told(rule, u=other) == []
    assert [one.split(":")[0] for one in told(rule, u="flow: [\n")] == ["u.yaml"], "nobody knows what it sets"


def test_all_rules_together_have_a_limit() -> None:
    rules = ", ".join(f'{{when: "{{{{ call.repeat > {n} }}}}", by: 1}}' for n in range(101))
    queues = f"queues: {{sales: {{raise: [{rules}]}}, support: {{raise: [{rules}]}}}}\n"
    assert problems_of(WAIT, queues=queues) == [
        "queues.yaml:1:1: all queues together have at most 200 rules in `raise`"
    ]


def test_a_condition_of_a_branch_is_one_expression_too() -> None:
    nodes = "  a: {do: branch, when: [{if: '{{ customer.tier }} == {{ 1 }}', to: hangup}], else: hangup}\n"
    assert "this is text with several" in problems_of(nodes)[0]


# ---------------------------------------------------------------- what is said

SPOKEN = """queues:
  sales:
    announce: {say: {en: "Hold", id: "Tunggu"}, play: hello}
    whisper: {en: "Sales"}
  support: {whisper: {play: beep}}
  lonely: {whisper: {en: "Nobody waits here"}}
"""
NUMBERS = 'numbers: {"6000": t, "6001": {flow: t, language: id}}\n'
BOTH = "  a: {do: queue, queue: sales, then: b}\n  b: {do: callback, queue: support, then: hangup}\n"


def test_what_is_said_in_queues_is_made_ready() -> None:
    prompts = book_of(BOTH, queues=SPOKEN, numbers=NUMBERS).prompts()
    for expected in (
        Text("en", "Hold"), Text("id", "Tunggu"), Text("en", "Sales"), Sound("en", "hello", 3), Sound("id", "hello", 3),
        Sound("id", "beep", 3),
    ):  # fmt: skip
        assert expected in prompts
    assert Text("en", "Nobody waits here") not in prompts


def test_recordings_that_queues_name_must_be_there() -> None:
    data = {"queues": {"sales": {"whisper": {"play": "beep"}, "announce": {"play": ["hello", "hullo"]}},
                       "support": {}}}  # fmt: skip
    flow = {"flow": "t", "language": "en", "start": "a", "nodes": {"a": {"do": "queue", "queue": "sales"}}}
    files = {"t.yaml": Source("t.yaml", flow), "queues.yaml": Source("queues.yaml", data)}
    problems = load_book(files, sounds={"prompts/en/hello.wav"})
    assert isinstance(problems, list)
    assert [(one.file, one.message) for one in problems] == [
        ("queues.yaml", "the prompt prompts/en/beep.wav is missing"),
        ("queues.yaml", "the prompt prompts/en/hullo.wav is missing"),
    ]
    there = {f"prompts/en/{name}.wav" for name in ("hello", "hullo", "beep")}
    assert isinstance(load_book(files, sounds=there), Book)


def test_a_language_in_which_a_queue_has_no_text_is_noted() -> None:
    notes = book_of(BOTH, queues=SPOKEN, numbers=NUMBERS).notes
    told = [str(one) for one in notes if one.file == "queues.yaml"]
    assert told == ["queues.yaml:4:5: queue sales: no text in `id`, another language is heard"]
    assert book_of(BOTH, queues=SPOKEN).notes == (), "nobody comes who speaks it"


def test_a_step_for_which_nobody_waits_is_noted() -> None:
    steps = "{after: 30s, also: {x: 1}}, {after: 1m, any_agent: true}"
    book = book_of(WAIT, queues=f"queues: {{sales: {{max_wait: 1m, relax: [{steps}]}}}}\n")
    assert [str(one) for one in book.notes] == [
        "queues.yaml:1:68: queue sales: nobody waits for this step, if no queue node has a longer `max_wait`"
    ]


def test_calendars_are_looked_for_where_they_can_be_known() -> None:
    queues = "queues: {sales: {calendar: offic, callback: {calendar: offic}}}\n"
    found = problems_of(WAIT, queues=queues)
    assert [one.split(": ")[0] for one in found] == ["queues.yaml:1:28", "queues.yaml:1:56"]
    assert [one.split(":")[0] for one in problems_of(WAIT, queues=queues, calendars="x: [\n")] == ["calendars.yaml"]


def test_the_head_of_the_file() -> None:
    assert "`queue` is no key of queues.yaml (did you mean `queues`?)" in problems_of(
        "  a: {do: hangup}\n", HEAD, queues="queue: {}\n"
    )[0]
