from __future__ import annotations

import pytest
from flowbook import HEAD, book_of, problems_of

from cti.core.ivr import Problem, Source, load_book

GOOD = '  a: {do: say, say: {en: "Hi"}, then: hangup}\n'


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ("  a: {do: sya, then: hangup}\n", "t.yaml:5:11: `sya` is no verb (did you mean `say`?)"),
        ("  a: {do: hours, open: hangup}\n", "t.yaml:5:3: a hours node needs `calendar`"),
        ("  a: {say: hi}\n", "t.yaml:5:3: node `a` needs a verb"),
        ("  a: hangup\n", "t.yaml:5:3: node `a` needs a verb"),
        ("  a: {do: say, then: hangup}\n", "t.yaml:5:3: a say node needs `say` or `play`"),
        ('  a: {do: say, say: {zh: "x"}, then: hangup}\n', "t.yaml:5:16: `say` has no text in `en`"),
        ('  a: {do: say, say: {en: x, EN: "x"}}\n', "t.yaml:5:29: `EN` is no language"),
        ("  a: {do: say, say: 5}\n", "t.yaml:5:21: `say` must be a map"),
        ("  a: {do: say, say: hi, then:}\n", "t.yaml:5:25: `then` has no value"),
        ("  a: {do: say, say: hi, then: 5}\n", "t.yaml:5:31: `then` must be a node or one of hangup, return, repeat"),
        ("  a: {do: say, say: hi, then: b}\n", "t.yaml:5:31: target `b` is no node"),
        ("  a: {do: say, play: ../x}\n", "t.yaml:5:22: `../x` is not a plain name"),
        ("  a: {do: say, play: []}\n", "t.yaml:5:22: `play` needs at least one prompt (name one, or remove `play`)"),
        ('  a: {do: menu, say: hi, play: [], options: {"1": a}}\n', "t.yaml:5:32: `play` needs at least one prompt"),
        ("  a: {do: say, play: [ok, 5]}\n", "t.yaml:5:27: `5` is not a plain name"),
        ("  a: {do: say, say: hi, them: b}\n", "t.yaml:5:25: `them` is no key of a say node (did you mean `then`?)"),
        ("  call: {do: hangup}\n  a: {do: hangup}\n", "t.yaml:5:3: a node cannot be called `call`"),
        ("  a: {do: say, play: ok.wav}\n", "t.yaml:5:22: `ok.wav` is not a plain name (write `ok`, without .wav)"),
        ("  a: {do: say, play: ../x.wav}\n", "t.yaml:5:22: `../x.wav` is not a plain name (a letter"),
        ('  a: {do: say, say: ""}\n', "t.yaml:5:21: `say` is empty"),
        ("  1a: {do: hangup}\n  a: {do: hangup}\n", "t.yaml:5:3: `1a` is not a plain name (a letter a-z"),
        ("  a: {do: menu, say: hi, options: {}}\n", "t.yaml:5:35: `options` needs at least one key"),
        ("  a: {do: menu, say: hi, options: {x: a}}\n", "t.yaml:5:36: `x` is no key of a phone"),
        ('  a: {do: menu, say: hi, options: {"*": a, star: a}}\n', "t.yaml:5:44: key * is there twice"),
        ("  a: {do: menu, say: hi}\n", "t.yaml:5:3: a menu node needs `options`"),
        ('  a: {do: menu, say: hi, options: {"1": a}, retries: 99}\n', "`retries` must be a whole number from 0 to 9"),
        ('  a: {do: menu, say: hi, options: {"1": a}, retries: true}\n', "`retries` must be a whole number"),
        ('  a: {do: menu, say: hi, options: {"1": a}, input_timeout: 5}\n', "must be a duration (like 5s, 2m or 1h)"),
        ('  a: {do: menu, say: hi, options: {"1": a}, input_timeout: 2h}\n', "must be from 1s to 1m"),
        ("  a: {do: set, vars: {}}\n", "t.yaml:5:22: `vars` needs 1 to 50 variables"),
        ("  a: {do: set, vars: {x-y: 1}}\n", "a variable like `x-y` has no - (`x_y`)"),
        ("  a: {do: set, vars: {x: [1]}}\n", "`x` must be text, a number, true or false"),
        ('  a: {do: set, vars: {x: "{{ y }}"}}\n', "t.yaml:5:26: `y` is no variable a flow has"),
        ('  a: {do: set, vars: {x: "{{ vars.xx }}"}}\n', "`vars.xx` is no variable a flow has (did you mean `x`?)"),
        ("  a: {do: branch, else: hangup}\n", "a branch node needs `when`"),
        ("  a: {do: branch, when: [], else: hangup}\n", "`when` needs 1 to 50 conditions"),
        ("  a: {do: branch, when: x, else: hangup}\n", "`when` must be a list"),
        ('  a: {do: branch, when: [{if: "x", to: a}], else: hangup}\n', "a condition is one expression"),
        ('  a: {do: branch, when: [{if: "", to: a}], else: hangup}\n', "`if` is empty"),
        ('  a: {do: branch, when: [{if: "{{ 1 }}", to: b}], else: hangup}\n', "target `b` is no node"),
        ('  a: {do: branch, when: [{if: "{{ 1 }}"}], else: hangup}\n', "a condition needs `to`"),
        ('  a: {do: branch, when: [{if: "{{ 1 }}", to: hangup}]}\n', "a branch node needs `else`"),
        ("  a: {do: queue, queue: sale}\n", "t.yaml:5:25: queue `sale` is not in queues.yaml (did you mean `sales`?)"),
        ("  a: {do: queue, queue: sales, skills: {english: 12}}\n", "`english` must be a whole number from 0 to 9"),
        ("  a: {do: queue, queue: sales, skills: {any: []}}\n", "`any` needs 1 to 20 alternatives"),
        ("  a: {do: queue, queue: sales, skills: {any: [{any: 1}]}}\n", "`any` is not possible here"),
        ("  a: {do: queue, queue: sales, priority: high}\n", "`priority` must be a whole number"),
        ('  a: {do: queue, queue: sales, max_wait: "{{ 9**9 }}"}\n', "powers (`**`) are not allowed"),
        ('  a: {do: dial, to: "+881621234567"}\n', "satellite numbers may not be dialled"),
        ('  a: {do: dial, to: "112"}\n', "emergency numbers may not be dialled"),
        ('  a: {do: dial, to: "x"}\n', "neither a station (2 to 6 digits) nor a telephone number"),
        ('  a: {do: dial, to: "1000\\n"}\n', "t.yaml:5:21: `1000\\u000a` begins or ends with a blank (write the"),
        ('  a: {do: dial, to: "1000\\t"}\n', "begins or ends with a blank"),
        ('  a: {do: dial, to: "\\u00a01000"}\n', "begins or ends with a blank"),
        ('  a: {do: dial, to: "021 2999-0000 "}\n', "begins or ends with a blank"),
        ('  a: {do: dial, to: "021\\u00a02999-0000"}\n', "neither a station (2 to 6 digits) nor a telephone number"),
        ("  a: {do: dial, to: 1000}\n", "`to` must be text (put it in quotes"),
        ("  a: {do: say, say: hi, thеn: a}\n", "character 3 is CYRILLIC SMALL LETTER IE"),
        ("  a: {do: hangup, cause: 0}\n", "`cause` must be a whole number from 1 to 127"),
        ("  a: {do: hangup, then: a}\n", "`then` is no key of a hangup node"),
        ("  a: {do: say, say: hi, then: b}\n  b: {do: say, say: ho, then: a}\n", "t.yaml:5:3: node `a` is in a loop"),
        ("  a: {do: say, say: hi, then: repeat}\n", "node `a` is in a loop where nobody is asked and nothing ends"),
        ("  a: {do: set, vars: {x: 1}, then: a}\n", "node `a` is in a loop"),
    ],
)  # fmt: skip
def test_a_problem_is_told_where_it_is(nodes: str, problem: str) -> None:
    assert any(problem in told for told in problems_of(nodes)), problems_of(nodes)


@pytest.mark.parametrize(
    ("head", "problem"),
    [
        ("flow: t\nstart: a\nnodes:\n", "a flow needs `language`"),
        ("flow: t\nlanguage: en\nnodes:\n", "a flow needs `start`"),
        ("flow: ../t\nlanguage: en\nstart: a\nnodes:\n", "t.yaml:1:7: `../t` is not a plain name"),
        ("flow: t\nlanguage: english\nstart: a\nnodes:\n", "t.yaml:2:11: `english` is no language"),
        ("flow: t\nlanguage: en\nstart: b\nnodes:\n", "t.yaml:3:8: target `b` is no node"),
        ("flow: t\nlanguage: en\nstart: hangup\nnodes:\n", "t.yaml:3:8: target `hangup` is no node"),
        ("flow: t\nlanguage: en\nstart: a\ncolour: x\nnodes:\n", "t.yaml:4:1: `colour` is no key of a flow"),
        ("flow: t\nlanguage: en\nstart: a\ndefaults: {fail: b}\nnodes:\n", "t.yaml:4:18: target `b` is no node"),
        ("flow: t\nlanguage: en\nstart: a\ndefaults: {fails: a}\nnodes:\n", "did you mean `fail`?"),
    ],
)  # fmt: skip
def test_the_head_of_a_flow(head: str, problem: str) -> None:
    assert any(problem in told for told in problems_of(GOOD, head)), problems_of(GOOD, head)


def test_a_text_is_short_and_a_message_is_one_short_line() -> None:
    assert "a text has at most 1000 characters" in problems_of(f"  a: {{do: say, say: {'x' * 1001}}}\n")[0]
    told = problems_of('  a: {do: say, say: hi, "\\u2007\\t%s": x}\n' % ("y" * 9000))
    assert len(told[0]) <= 600
    assert told[0].isprintable()


def test_a_flow_needs_nodes() -> None:
    assert any("at least one node" in told for told in problems_of("", "flow: t\nlanguage: en\nstart: a\nnodes: {}\n"))


def test_all_problems_at_once_and_sorted() -> None:
    told = problems_of("  a: {do: say, say: hi, then: x}\n  b: {do: queue, queue: nope, then: y}\n")
    assert [line.split(": ")[0] for line in told] == ["t.yaml:5:31", "t.yaml:6:25", "t.yaml:6:37"]


def test_a_letter_that_looks_like_another_is_named() -> None:
    told = " ".join(problems_of('  grеet: {do: say, say: "x"}\n', HEAD.replace("start: a", "start: greet")))
    assert told.count("character 3 is CYRILLIC SMALL LETTER IE (U+0435)") == 2
    assert "did you mean" not in told


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ('numbers: {"6000": tt}\n', "numbers.yaml:1:19: flow `tt` is not in this folder (did you mean `t`?)"),
        ('numbers: {"6000": {flow: x, language: en}}\n', "flow `x` is not in this folder"),
        ('numbers: {"6000": {language: en}}\n', "a number needs `flow`"),
        ('numbers: {"6x": t}\n', "numbers.yaml:1:11: `6x` is no number"),
        ('numbers: {"+622129990000": t, "021 2999-0000": t}\n', "number +622129990000 is there twice"),
        ("number: {}\n", "`number` is no key of numbers.yaml (did you mean `numbers`?)"),
        ("numbers: []\n", "`numbers` must be a map"),
    ],
)
def test_numbers(numbers: str, problem: str) -> None:
    assert any(problem in told for told in problems_of(GOOD, numbers=numbers)), problems_of(GOOD, numbers=numbers)


@pytest.mark.parametrize(
    ("queues", "problem"),
    [
        ("queues: {sales: {calendar: offic}}\n", "calendar `offic` is not in calendars.yaml (did you mean `office`?)"),
        ("queues: {sales: {max_wait: ٥s}}\n", "queues.yaml:1:28: `max_wait` must be a duration (like 5s, 2m or 1h)"),
        ('queues: {sales: {max_wait: "5s\\n"}}\n', "`max_wait` must be a duration"),
        ("queues: {sales: {ring: 1s}}\n", "`ring` must be from 5s to 2m"),
        ("queues: {sales: {agents: idle}}\n", "must be one of longest_idle, fastest, best_level"),
        ("queues: {sales: {relax: [{after: 5s}]}}\n", "a relax step needs `skills` or `also`, or"),
        ("queues: {sales: {relax: [{any_agent: true}]}}\n", "a relax step needs `after`"),
        ("queues: {sales: {relax: [{after: 5s, any_agent: 1}]}}\n", "`any_agent` must be true or false"),
        (
            "queues: {sales: {relax: [{after: 5s, any_agent: false}]}}\n",
            "queues.yaml:1:49: `any_agent: false` changes nothing (write true or remove it)",
        ),
        ("queues: {any: {}}\n", "queues.yaml:1:10: a queue cannot be called `any`"),
        ("queues: {sales: {relax: {}}}\n", "`relax` must be a list"),
        ("queues: {sales: {service_level: {percent: 0}}}\n", "`percent` must be a whole number from 1 to 100"),
        ("queues: {sales: {announce: {evry: 5s}}}\n", "did you mean `every`?"),
        ("queues: {sa/les: {}}\n", "`sa/les` is not a plain name"),
        ("queues: {sales: }\n", "queue `sales` must be a map"),
    ],
)
def test_queues(queues: str, problem: str) -> None:
    calendars = "calendars: {office: {}}\n"
    told = problems_of(GOOD, queues=queues, calendars=calendars)
    assert any(problem in one for one in told), told


def test_a_broken_neighbour_does_not_make_false_problems() -> None:
    asks = "  a: {do: queue, queue: sales, then: hangup}\n"
    told = problems_of(asks, queues="queues: {sales: {calendar: office}\n", numbers='numbers: {"6000": t}\n')
    assert [line.split(":")[0] for line in told] == ["queues.yaml"]
    told = problems_of(asks, queues="queues: {sales: {calendar: office}}\n", calendars="x: [\n")
    assert [line.split(":")[0] for line in told] == ["calendars.yaml"]
    told = problems_of("  a: {do: [}\n", numbers='numbers: {"6000": t}\n')
    assert [line.split(":")[0] for line in told] == ["t.yaml"]


def test_a_flow_is_there_once() -> None:
    assert "z.yaml:1:7: flow `t` is in t.yaml too" in problems_of(GOOD, z=HEAD + GOOD)


def test_missing_prompts_are_named_for_every_language_the_flow_is_led_to() -> None:
    texts = {
        "flow": "t", "language": "en", "start": "a",
        "nodes": {"a": {"do": "say", "play": ["hello", "news"]}},
    }  # fmt: skip
    numbers = {"numbers": {"6000": {"flow": "t", "language": "id"}}}
    files = {"t.yaml": Source("t.yaml", texts), "numbers.yaml": Source("numbers.yaml", numbers)}
    there = {"prompts/en/hello.wav", "prompts/en/news.wav", "prompts/id/hello.wav"}
    told = load_book(files, sounds=there)
    assert isinstance(told, list)
    assert [problem.message for problem in told] == ["the prompt prompts/id/news.wav is missing"]
    assert told[0].hint.startswith("`cti flow prompts import` puts one there")
    assert not isinstance(load_book(files, sounds=there | {"prompts/id/news.wav"}), list)


def test_the_name_of_a_prompt_is_mistyped() -> None:
    assert "(did you mean `jingle`?)" in str(_wanting("jingel", {"prompts/en/jingle.wav", "prompts/id/other.wav"}))
    assert "(`cti flow prompts import` puts one there" in str(_wanting("jingel", set()))


def _wanting(prompt: str, sounds: set[str]) -> Problem:
    flow = {"flow": "t", "language": "en", "start": "a", "nodes": {"a": {"do": "say", "play": prompt}}}
    told = load_book({"t.yaml": Source("t.yaml", flow)}, sounds=sounds)
    assert isinstance(told, list)
    return told[0]


def test_who_answers_a_number() -> None:
    numbers = 'numbers: {"6000": t, "+622129990000": {flow: t, language: id}, "(021) 555-0101": t}\n'
    book = book_of(GOOD, numbers=numbers)
    assert book.flow_for("6000") == ("t", "en")
    for spelling in ("+622129990000", "622129990000", "02129990000", "021 2999-0000"):
        assert book.flow_for(spelling) == ("t", "id"), spelling
    assert book.flow_for("+62215550101") == book.flow_for("0215550101") == ("t", "en")
    for stranger in ("", "600", "60000", "6000;x", "../6000", "+6000", "\x00"):
        assert book.flow_for(stranger) is None, stranger


def test_everything_of_the_contract_is_read() -> None:
    book = book_of(
        "  a: {do: queue, queue: sales, then: hangup}\n",
        queues="""queues:
  sales:
    skills: {english: 1, any: [{dutch: 1}]}
    relax: [{after: 60s, any_agent: true}, {after: 30s, skills: {english: 0}}]
    agents: fastest
    priority: 5
    service_level: {percent: 90, within: 10s}
    ring: 20s
    wrap_up: 1m
    max_wait: 5m
    max_size: 7
    short_abandon: 3s
    recording: on_demand
    calendar: office
    announce: {position: true, wait: true, every: 45s}
""",
        calendars="calendars: {office: {time_zone: Asia/Jakarta}}\n",
    )
    queue = book.queues["sales"]
    assert queue.skills == {"english": 1, "any": [{"dutch": 1}]}
    assert [(step.after, step.skills, step.any_agent) for step in queue.relax] == [
        (30.0, {"english": 0}, False),
        (60.0, {}, True),
    ]
    assert (queue.agents, queue.priority, queue.recording, queue.calendar) == ("fastest", 5, "on_demand", "office")
    assert (queue.ring, queue.wrap_up, queue.max_wait, queue.max_size, queue.short_abandon) == (20, 60, 300, 7, 3)
    assert (queue.service_level.percent, queue.service_level.within) == (90, 10)
    assert (queue.announce.position, queue.announce.wait, queue.announce.every) == (True, True, 45)
