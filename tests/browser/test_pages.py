"""What people see and do, in a real browser."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from cti.core.messages import AnswerCall, HangUpCall, RejectCall, SetDisposition
from tests.kit_until import until

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


def a_pop(**call: Any) -> dict[str, Any]:
    from fakes import a_pop

    return a_pop(**call)


async def test_a_wrong_password_is_said_and_the_right_one_opens_the_desk(desk: Any) -> None:
    page = desk.page
    await page.goto(f"{desk.site.url}/agent")
    assert page.url.endswith("/login")
    await page.fill("#username", "anna")
    await page.fill("#password", "wrong")
    await page.click("#login-go")
    await page.wait_for_selector("#login-error:has-text('wrong')")
    await desk.login("anna")
    assert page.url.endswith("/agent")
    await page.click("#logout")
    await page.wait_for_url("**/login")


async def test_signing_on_and_a_station_that_is_not_there(desk: Any) -> None:
    await desk.login("anna")
    assert "signed off" in await desk.text("#idle")
    assert await desk.page.input_value("#station") == "2001"  # the usual one
    assert "phone is off" in await desk.text("#station option[value='2404']")
    await desk.page.select_option("#station", "2404")
    await desk.page.click("#sign-on")
    await desk.page.wait_for_selector("#toast:has-text('2404 is not reachable')")
    await desk.page.select_option("#station", "2009")
    await desk.page.click("#sign-on")
    await desk.page.wait_for_selector(".pill[data-state=ready]")
    assert "2009" in await desk.text("#idle")


async def test_a_call_from_ring_to_wrap_up(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    began = time.monotonic()
    call_id = site.engine.ring("anna")
    await page.wait_for_selector("#ring")
    assert time.monotonic() - began < 1.0
    assert "王小明" in await desk.text("#ring") and "0812-3456-789" in await desk.text("#ring")
    pop = await desk.text("#pop")
    for shown in ("VIP", "Delivery 4471 late", "Ordered 40 boxes", "Abandoned"):
        assert shown in pop
    assert "王小明" in await page.title()
    await page.click("#answer")
    await page.wait_for_selector("#toast:has-text('Pick it up')")

    await page.click(".menu summary")
    await page.click(".items button:has-text('Lunch')")
    await page.wait_for_selector(".pill .next:has-text('Lunch')")

    site.engine.change("anna", work="talking")
    await page.wait_for_selector("#talk")
    await page.reload()
    await page.wait_for_selector("#talk")
    assert "王小明" in await desk.text("#pop")
    await page.fill("#note", "prom")
    await page.keyboard.press("Alt+Shift+X")
    await page.wait_for_selector("#wrap")
    assert await page.evaluate("document.activeElement.id") == "note"  # the hands go on typing
    assert [m.call_id for m in site.engine.inputs if isinstance(m, HangUpCall)] == [call_id]

    await page.keyboard.press("Alt+Shift+Digit2")
    await page.keyboard.press("Alt+Shift+KeyN")
    await page.keyboard.press("End")
    await page.keyboard.type("ised a call")
    await page.reload()
    await page.wait_for_selector("#wrap")
    assert await page.input_value("#note") == "promised a call"
    before = site.engine.rows["anna"]["wrap_up_until"]
    await page.click("#extend")
    await until(lambda: site.engine.rows["anna"]["wrap_up_until"] == before + 30)
    assert await page.input_value("#note") == "promised a call"
    await page.click("#finish")
    await page.wait_for_selector("#idle")
    *before, said = [m for m in site.engine.inputs if isinstance(m, SetDisposition)]
    assert (said.call_id, said.code, said.note) == (call_id, "resolved", "promised a call")
    assert all(m.call_id == call_id and "promised a call".startswith(m.note) for m in before)  # while she typed
    assert "王小明" not in await desk.text("#pop")


async def test_a_note_is_saved_when_the_time_is_up(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    call_id = site.engine.ring("anna")
    site.engine.change("anna", work="talking")
    await page.fill("#note", "wants tea")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 2)
    await until(lambda: any(isinstance(m, SetDisposition) for m in site.engine.inputs), 5)
    [said] = [m for m in site.engine.inputs if isinstance(m, SetDisposition)]
    assert (said.call_id, said.code, said.note) == (call_id, "other", "wants tea")


def saved(site: Any) -> list[tuple[str, str]]:
    return [(m.code, m.note) for m in site.engine.inputs if isinstance(m, SetDisposition)]


async def test_a_note_is_saved_while_it_is_typed(desk: Any) -> None:
    """Where there is no wrap-up the call is closed when the talk ends."""
    site, page = desk.site, desk.page
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="talking")
    await page.fill("#note", "wants tea")
    await until(lambda: saved(site) == [("other", "wants tea")], 5)
    await page.keyboard.press("End")
    await page.keyboard.type(" and milk")
    site.engine.change("anna", work="idle")
    await until(lambda: saved(site)[-1] == ("other", "wants tea and milk"), 5)


async def test_a_note_that_could_not_be_sent_is_saved_when_the_link_is_back(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="talking")
    await page.route("**/disposition", lambda route: route.abort())
    async with page.expect_event("requestfailed"):
        await page.fill("#note", "wants tea")
    await page.unroute("**/disposition")
    assert saved(site) == []
    site.hub.close_all()
    await until(lambda: saved(site) == [("other", "wants tea")], 5)


async def test_a_note_that_the_server_will_not_have_keeps_nobody_in_wrap_up(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    site.engine.ring("anna")
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 60)
    await page.fill("#note", "wants tea")

    async def gone(route: Any) -> None:
        problem = {"status": 409, "code": "call_gone", "detail": "this call is closed"}
        await route.fulfill(status=409, content_type="application/problem+json", body=json.dumps(problem))

    await page.route("**/disposition", gone)
    await page.click("#finish")
    await page.wait_for_selector("#idle")
    said = await desk.text("#toast")
    assert "not saved: This call is over or with a colleague" in said and "wants tea" in said


async def test_a_connection_that_died_silently_does_not_hold_the_buttons(desk: Any) -> None:
    site, page = desk.site, desk.page
    await page.add_init_script("const real = AbortSignal.timeout.bind(AbortSignal);"
                               "AbortSignal.timeout = (ms) => real(ms / 4);")
    site.engine.change("anna", wish="not_ready", reason="lunch")
    await desk.login("anna")
    dead = True

    async def silent(route: Any) -> None:
        if not dead:
            await route.continue_()

    await page.route("**/state", silent)
    await page.click("#ready")
    await page.wait_for_selector("#toast:has-text('does not answer')")
    dead = False
    await page.click("#ready")
    await page.wait_for_selector(".pill[data-state=ready]")


async def test_a_refusal_is_told_in_the_readers_language(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.store.users["anna"].language = "zh"
    await desk.login("anna")
    codes = {"station_in_use": "Budi 已在分机", "busy": "通话中无法操作", "never_heard_of": "现在无法执行"}
    for code, text in codes.items():
        problem = json.dumps({"status": 409, "code": code, "detail": "in English", "name": "Budi", "station": "2002"})
        await page.unroute_all()
        await page.route("**/state", lambda route: route.fulfill(status=409, body=problem))  # noqa: B023
        await page.click("#sign-on")
        await page.wait_for_selector(f"#toast:has-text('{text}')")
        assert "English" not in await desk.text("#toast")


async def test_the_focus_stays_where_the_keyboard_put_it(desk: Any) -> None:
    site, page = desk.site, desk.page
    focus = "document.activeElement.id"
    await desk.login("anna")
    await page.focus("#sign-on")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".pill[data-state=ready]")
    assert await page.evaluate(focus) == "ready"
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    assert await page.evaluate(focus) == "wish-break"
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".pill[data-state=not_ready]")
    assert await page.evaluate(focus) == "not-ready"
    await page.focus("#ready")
    await page.keyboard.press("Enter")
    await page.wait_for_selector(".pill[data-state=ready]")
    assert await page.evaluate(focus) == "ready"
    site.engine.change("anna", calls_today=7)
    await page.wait_for_timeout(300)
    assert await page.evaluate(focus) == "ready"


async def test_what_was_missed_does_not_set_the_clock_back(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    clock = "import('/static/lib.js').then((lib) => lib.now() - Date.now())"
    before = await page.evaluate(clock)
    old = "new Date(Date.now() - 90000).toISOString()"
    await page.evaluate(f"import('/static/lib.js').then((lib) => lib.setServerTime({old}))")
    assert abs(await page.evaluate(clock) - before) < 1000


async def test_the_desk_follows_a_phone_that_comes_and_goes(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    await page.wait_for_selector("#station option[value='2404']:has-text('off')", state="attached")
    site.engine.phones["2404"] = True
    await page.wait_for_selector("#station option[value='2404']:text-is('2404')", state="attached")
    site.engine.change("anna", wish="not_ready", reason="lunch")
    site.engine.rows["anna"]["reachable"] = site.engine.phones["2001"] = False
    await page.wait_for_selector("#idle .bad:has-text('2001 is not reachable')")
    site.engine.rows["anna"]["reachable"] = site.engine.phones["2001"] = True
    await page.wait_for_selector("#idle .why:has-text('you are not ready')")


async def test_answering_from_here_and_rejecting(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    async with site.client("anna", token=True) as client, client.ws_connect("/ws") as phone:
        await phone.send_json({"type": "phone", "data": {"station": "2001"}})
        call_id = site.engine.ring("anna")
        await page.wait_for_selector("#answer.answer")
        await page.keyboard.press("Alt+Shift+A")
        await until(lambda: any(isinstance(m, AnswerCall) and m.call_id == call_id for m in site.engine.inputs), 5)
    await page.wait_for_selector("#answer:not(.answer)")
    await page.click("#reject")
    await page.wait_for_selector(".pill[data-state=not_ready]")
    assert any(isinstance(m, RejectCall) and m.call_id == call_id for m in site.engine.inputs)


async def test_hostile_names_are_shown_as_text(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    pop = a_pop(caller_name=EVIL, queue=EVIL, flow_path=[EVIL], variables={EVIL: EVIL}, called=EVIL, caller=EVIL)
    pop["customers"][0]["display_name"] = EVIL
    pop["customers"][0]["language"] = EVIL
    pop["history"][0]["note"] = EVIL
    pop["cases"][0]["title"] = EVIL
    site.engine.ring("anna", pop)
    await page.wait_for_selector("#ring")
    assert EVIL in await desk.text("#ring") and EVIL in await desk.text("#pop")
    assert await page.locator("main img, main script").count() == 0


async def test_a_call_made_for_a_callback_shows_whom_it_is_for_and_what_he_asked(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    asked = {"requested_at": time.time() - 60, "tries": 2}
    call = {"direction": "outbound", "caller": "6000", "called": "+628111222333", "callback": asked, "flow_path": []}
    site.engine.ring("anna", a_pop(**call) | {"customers": []})
    await page.wait_for_selector("#ring .who:has-text('0811-1222-333')")
    told = await desk.text("#ring")
    assert "Callback" in told and "calls before: 2" in told


async def test_many_customers_are_a_choice_and_none_a_new_caller(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("anna")
    pop = a_pop()
    pop["customers"] += [{"customer_id": 8, "display_name": "Siti Rahayu", "tier": "standard", "language": "id"}]
    site.engine.ring("anna", pop)
    await page.click("#choices button:has-text('Siti')")
    await page.wait_for_selector("#pop .name:has-text('Siti Rahayu')")
    site.engine.change("anna", work="idle", call_id="")
    await page.wait_for_selector("#idle")
    site.engine.ring("anna", a_pop(identified_by="pin"))
    await page.wait_for_selector("#pop .tag:has-text('PIN was right')")
    site.engine.change("anna", work="idle", call_id="")
    await page.wait_for_selector("#idle")
    site.engine.ring("anna", a_pop() | {"customers": [], "history": [], "cases": []})
    await page.wait_for_selector("#pop .name:has-text('New caller')")


async def test_the_wallboard_moves_and_marks_trouble(desk: Any) -> None:
    site, page = desk.site, desk.page
    await desk.login("sari")
    assert page.url.endswith("/wallboard")
    await page.wait_for_selector("#tile-waiting[data-level=ok]")
    site.engine.waiting["sales"] = 12
    site.engine.longest["sales"] = time.time() - 90
    await page.wait_for_selector("#tile-waiting[data-level=crit] svg")
    assert "12" in await desk.text("#tile-waiting")
    assert await page.get_attribute("#tile-sl", "title")
    row = await desk.text("[data-queue=sales]")
    assert row.startswith("Sales") and "goal 80% in 20 s" in row and "00:07" in row
    first = await desk.text("#tile-longest .big")
    await page.wait_for_selector(f"#tile-longest .big:not(:has-text({first!r}))")
    assert await page.locator("#alarm").is_visible()  # calls wait and nobody is signed on
    site.engine.change("anna", wish="ready")
    await page.wait_for_selector("[data-agent=anna][data-state=ready]")
    assert not await page.locator("#alarm").is_visible()


async def test_another_language_is_one_choice_away_and_stays(desk: Any) -> None:
    await desk.login("anna")
    await desk.page.select_option("#language", "zh")
    await desk.page.wait_for_selector("html[lang=zh-CN]")
    assert "签入" in await desk.text("#sign-on")
    assert desk.site.store.users["anna"].language == "zh"


async def test_a_lost_link_is_said_and_heals(desk: Any) -> None:
    site, page = desk.site, desk.page
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    await page.context.set_offline(True)
    site.hub.close_all()
    await page.wait_for_selector("#lost-banner:visible")
    assert "No link to the server since" in await desk.text("#lost-banner")
    assert await page.evaluate("document.getElementById('main').inert")
    site.engine.ring("anna")
    await page.context.set_offline(False)
    await page.wait_for_selector("#ring", timeout=15000)
    assert not await page.locator("#lost-banner").is_visible()
    assert "王小明" in await desk.text("#pop")


async def test_the_wallboard_never_shows_old_figures_as_live(desk: Any) -> None:
    await desk.login("sari")
    await desk.page.wait_for_selector("#tile-waiting")
    await desk.page.context.set_offline(True)
    desk.site.hub.close_all()
    await desk.page.wait_for_selector("#stale:visible")
    assert "No data since" in await desk.text("#stale")


async def test_a_login_that_ended_elsewhere_leads_to_the_login_page(desk: Any) -> None:
    await desk.login("anna")
    [session] = desk.site.store.sessions
    await desk.site.store.session_delete(session)
    desk.site.hub.close_session(session)
    await desk.page.wait_for_url("**/login")


def crowd(site: Any) -> str:
    """Somebody waits for long, somebody's break is over; his call."""
    rule = "{{ customer.tier == 'vip' and customer.complaints }}"
    name = "Nusantara Tea Trading Company"
    call_id = site.engine.waits(caller_name=name, waited=4000, steps=4, step=2, raised=[rule])
    site.engine.waits("support", waited=30, position=None, why="ringing", **{"for": "budi"})
    now = time.time()
    site.engine.change("budi", wish="not_ready", reason="training", since=now - 4000, over_limit_since=now)
    return str(call_id)


@pytest.mark.parametrize("language", ["en", "zh", "id"])
@pytest.mark.parametrize("width", [390, 768, 1440])
async def test_no_page_is_wider_than_its_window(desk: Any, language: str, width: int) -> None:
    site, page = desk.site, desk.page
    site.store.users["anna"].language = site.store.users["sari"].language = language
    await page.set_viewport_size({"width": width, "height": 844})
    fits = "document.documentElement.scrollWidth <= window.innerWidth || document.documentElement.scrollWidth"
    await page.goto(f"{site.url}/login?lang={language}")
    assert await page.evaluate(fits) is True
    await desk.login("anna")
    site.engine.ring("anna")
    await page.wait_for_selector("#ring")
    assert await page.evaluate(fits) is True
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 30)
    await page.wait_for_selector("#wrap")
    assert await page.evaluate(fits) is True
    await page.click("#logout")
    await page.wait_for_url("**/login")
    call_id = crowd(site)
    await desk.login("sari")
    await page.wait_for_selector(f"[data-call='{call_id}']")
    assert await page.evaluate(fits) is True
    await page.click(f"#caller-{call_id}")
    assert await page.evaluate(fits) is True and await page.evaluate(CUT) == []


CUT = """() => [...document.querySelectorAll(".card, .pill, .pill > div, button, summary, .tile h2, .big, .people-now")]
  .filter((e) => e.checkVisibility() && e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== "inline")
  .map((e) => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 30)} ${e.scrollWidth} > ${e.clientWidth}`)"""
BROKEN = """() => {  // words that are broken in the middle
  const bad = [];
  for (const e of document.querySelectorAll(".pill b, .tile h2, .people-now span, .buttons button, .wishes button")) {
    const text = e.firstChild, range = document.createRange();
    if (document.documentElement.lang.startsWith("zh") || text?.nodeType !== 3 || !e.checkVisibility()) continue;
    for (const { index, 0: word } of text.data.matchAll(/\\S+/g)) {
      range.setStart(text, index);
      range.setEnd(text, index + word.length);
      if (range.getClientRects().length > 1) bad.push(word);
    }
  }
  return bad;
}"""


@pytest.mark.parametrize("language", ["en", "zh", "id"])
@pytest.mark.parametrize("size", [(1024, 700), (1440, 900)])
async def test_nothing_is_cut_off_and_the_caller_is_on_the_screen(
    desk: Any, language: str, size: tuple[int, int]
) -> None:
    site, page = desk.site, desk.page
    site.store.users["anna"].language = site.store.users["sari"].language = language
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await desk.login("anna")
    await page.wait_for_selector("#recent p")
    assert await page.evaluate(CUT) == []
    site.engine.change("anna", wish="not_ready", reason="missed")
    await page.wait_for_selector(".pill[data-state=not_ready]")
    assert await page.evaluate(CUT) == [] and await page.evaluate(BROKEN) == []
    site.engine.ring("anna")
    await page.wait_for_selector("#ring")
    shown = "(id) => document.querySelector(id).getBoundingClientRect().bottom <= innerHeight"
    for seen in ("#answer", "#pop .name", "#pop .rows"):
        assert await page.evaluate(shown, seen), seen
    for work in ("talking", "wrap_up"):
        until = time.time() + 30 if work == "wrap_up" else None
        site.engine.change("anna", work=work, next_wish="not_ready", next_reason="lunch", wrap_up_until=until)
        await page.wait_for_selector(f".pill[data-state={work}]")
        assert await page.evaluate(CUT) == [] and await page.evaluate(BROKEN) == []
        assert await page.evaluate(shown, "#hangup" if work == "talking" else "#finish")
    await page.click("#logout")
    await page.wait_for_url("**/login")
    site.engine.waiting.update(sales=112)
    site.engine.longest["sales"] = time.time() - 4000
    rows = site.engine.queues
    busy = {"offered_today": 1234, "answered_today": 1098, "abandoned_today": 136}
    site.engine.queues = lambda: [row | busy for row in rows()]
    call_id = crowd(site)
    await desk.login("sari")
    await page.wait_for_selector(f"[data-call='{call_id}']")
    assert await page.evaluate(CUT) == [] and await page.evaluate(BROKEN) == []
    tops = "[...document.querySelectorAll('.tile:not(.wide)')].map((tile) => tile.getBoundingClientRect().top)"
    assert len(set(await page.evaluate(tops))) == 1


CONTRAST = """() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return { rgb: m.slice(0, 3), a: m[3] ?? 1 }; };
  const part = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const colour = parse(getComputedStyle(e).backgroundColor);
      if (colour.a === 1) return colour.rgb;
    }
    return [255, 255, 255];
  };
  const bad = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(".unseen, .skip, script, option")) continue;
    const [a, b] = [parse(getComputedStyle(e).color).rgb, behind(e)].map(light).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return bad;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_has_contrast_4_5(desk: Any, scheme: str) -> None:
    site, page = desk.site, desk.page
    await page.emulate_media(color_scheme=scheme)
    await page.goto(f"{site.url}/login")
    assert await page.evaluate(CONTRAST) == []
    site.engine.change("anna", wish="ready")
    await desk.login("anna")
    assert await page.evaluate(CONTRAST) == []
    site.engine.ring("anna")
    await page.wait_for_selector("#ring")
    assert await page.evaluate(CONTRAST) == []
    site.engine.change("anna", work="talking")
    await page.wait_for_selector("#talk")
    assert await page.evaluate(CONTRAST) == []
    site.engine.change("anna", work="wrap_up", wrap_up_until=time.time() + 30)
    await page.wait_for_selector("#wrap")
    assert await page.evaluate(CONTRAST) == []
    await page.click("#logout")
    await page.wait_for_url("**/login")
    site.engine.change("anna", work="idle", call_id="", wish="not_ready", reason="break", over_limit_since=time.time())
    await desk.login("anna")
    await page.wait_for_selector(".pill[data-over]")
    assert await page.evaluate(CONTRAST) == []
    await page.click("#logout")
    await page.wait_for_url("**/login")
    site.engine.waiting.update(sales=7, support=12)
    call_id = crowd(site)
    await desk.login("sari")
    await page.wait_for_selector(f"[data-call='{call_id}']")
    assert await page.evaluate(CONTRAST) == []
    for button in (f"#caller-{call_id}", "#agent-budi"):
        await page.click(button)
        await page.click("#ask-why")
        await page.wait_for_selector(".whylist :is(li, p)")
        assert await page.evaluate(CONTRAST) == []
        await page.keyboard.press("Escape")


NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, textarea")]
  .filter((e) => e.checkVisibility() && !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.title))
  .map((e) => e.outerHTML)"""


async def test_buttons_and_fields_have_names(desk: Any) -> None:
    await desk.login("anna")
    desk.site.engine.ring("anna")
    await desk.page.wait_for_selector("#ring")
    assert await desk.page.evaluate(NAMELESS) == []
    await desk.page.click("#logout")
    await desk.page.wait_for_url("**/login")
    call_id = crowd(desk.site)
    await desk.login("sari")
    for button in (f"#caller-{call_id}", "#agent-budi"):
        await desk.page.click(button)
        assert await desk.page.evaluate(NAMELESS) == []
        await desk.page.keyboard.press("Escape")
