// The agent's page. The server is the only truth: this file draws its last word and sends wishes.
import { api, boot, draw, el, icon, length, named, now, reasonName, t, tickAll, timer, wireBar } from "./lib.js";
import { caller, facts, queueCard, recentTable } from "./cards.js";
import { openLink } from "./link.js";
import { drawPop, whoIs } from "./pop.js";
import { alertRing, wireKeys } from "./attention.js";
import { draft, forgetSaved, keep, onRefused, save, saveAll } from "./draft.js";

const at = (id) => document.getElementById(id);
const me = boot.me.agent_id;
let desk = { agent: null, pop: null, call: null, can_answer: false, stations: [] };
let recent = null;
let queues = [];
let busy = false;
let station = ""; // chosen for the next sign-on

// ---------------------------------------------------------------- what the server says

function hear({ type, data }) {
  const handlers = {
    desk: () => {
      desk = data;
      if (data.agent && !desk.pop) desk.pop = keptPop(data.agent);
      saveAll();
      if (recent) refreshSoon();
      else refresh();
    },
    agent_state: () => {
      if ((data.agent_id ?? data.agent) !== me) return;
      const before = desk.agent;
      desk.agent = data;
      if (before && before.work !== data.work) refreshSoon();
      if (data.work === "idle" && before?.work !== "idle") {
        desk.pop = null;
        saveAll().then(forgetSaved);
      }
    },
    screen_pop: () => { desk.pop = data; sessionStorage.setItem("pop", JSON.stringify(data)); },
    call: () => { desk.call = data.call ?? data; },
    phone: () => { desk.can_answer = data.can_answer; },
    notice: () => toast(noticeText(data), 15),
  };
  handlers[type]?.();
  render();
}

/** After a reload in wrap-up the call is over and the server has no pop for it any more; this tab may. */
function keptPop(agent) {
  try {
    const kept = JSON.parse(sessionStorage.getItem("pop"));
    return agent.work !== "idle" && kept.call.call_id === agent.call_id ? kept : null;
  } catch {
    return null;
  }
}

/** A call that ended is in the list a moment later, when the database has it. */
let soon = 0;
function refreshSoon() {
  clearTimeout(soon);
  soon = setTimeout(refresh, 700);
}

async function refresh() {
  const [calls, board] = await Promise.all([api("GET", "/calls?limit=8"), api("GET", "/queues")]).catch(() => [null, null]);
  if (calls) recent = calls.items;
  if (board) queues = board.items;
  render();
}

// ---------------------------------------------------------------- what the agent asks

async function ask(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (refusal) {
    if (refusal.status !== 401) explain(refusal);
  } finally {
    busy = false;
    render();
  }
}

/** Why the server refused, in the reader's language: by its code, else by whose fault it is. */
function because({ code, status, about = {} }) {
  const kind = status >= 500 ? "server" : status === 409 ? "other" : "request";
  return t([`refused.${code}`, `refused.${kind}`].find((id) => id in boot.texts), { station: wantedStation(), ...about });
}
const explain = (refusal) => toast(because(refusal));

/** What a supervisor or the server has just done about this agent. */
function noticeText({ text, code, by, state, reason, later, minutes }) {
  const what = wishName(state, reason);
  if (code === "forced") return t(later ? "notice.forced_later" : "notice.forced", { by, state: what });
  if (code === "over_limit") return t("notice.over_limit", { reason: reasonName(reason), time: length(minutes * 60) });
  return t(`notice.${code}` in boot.texts ? `notice.${code}` : "refused.other", { by }) || text;
}

let toastEnds = 0;
function toast(text, seconds = 7) {
  at("toast").textContent = text;
  clearTimeout(toastEnds);
  toastEnds = setTimeout(() => at("toast").replaceChildren(), seconds * 1000);
}

onRefused((id, refusal, { note }) => toast(t(note.trim() ? "wrap.not_saved" : "wrap.code_not_saved", { why: because(refusal), note }), 30));

function setState(state, reason = "") {
  const body = { state, reason };
  if (state !== "logged_out" && desk.agent.wish === "logged_out") body.station = wantedStation();
  closeMenu();
  return ask(async () => { desk.agent = await api("PUT", `/agents/${encodeURIComponent(me)}/state`, body); });
}

function closeMenu() {
  const menu = at("state").querySelector(".menu[open]");
  if (!menu) return;
  if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
  menu.open = false;
}

const wantedStation = () => station || desk.agent?.station || desk.agent?.usual_station || boot.me.station || desk.stations[0]?.station || "";
const callId = () => desk.agent?.call_id || desk.call?.call_id || desk.pop?.call.call_id;
const doCall = (verb) => ask(() => api("POST", `/calls/${callId()}/${verb}`));
const wrapUp = (action) => ask(async () => { desk.agent = await api("POST", `/agents/${encodeURIComponent(me)}/wrap-up`, { action }); });

/** How it ended ends the wrap-up; without that, or when the server will not have it, the agent is done all the same.
 * Finishing does not wait for a note that the server will not have; it does for a server that cannot be reached. */
function finish() {
  const id = callId();
  return ask(async () => {
    if (await save(id, true)) return;
    desk.agent = await api("POST", `/agents/${encodeURIComponent(me)}/wrap-up`, { action: "finish" });
  });
}

/** Nothing typed is lost when the time is up: it is saved a moment before. */
function saveInTime() {
  const { work, wrap_up_until: until, call_id: id } = desk.agent ?? {};
  if (work === "wrap_up" && until && Date.parse(until) - now() < 2500) save(id).catch(() => {});
}

// ---------------------------------------------------------------- drawing

function render() {
  const typing = document.activeElement?.id === "note" ? document.activeElement.selectionStart : null;
  drawAll();
  const note = at("note");
  if (typing === null || !note || note === document.activeElement) return;
  note.focus(); // the card changed under the typing hands
  note.setSelectionRange(typing, typing);
}

function drawAll() {
  const agent = desk.agent;
  if (!agent) {
    draw(at("centre"), null, () => el("div", { class: "card empty" }, icon("warn"), el("p", {}, t("why.unknown"))));
    return;
  }
  const work = agent.work;
  document.body.dataset.work = work;
  const open = at("state").querySelector(".menu")?.open;
  draw(at("state"), [shownState(agent), agent, desk.stations], () => stateCard(agent, open), "#ready, #sign-on");
  draw(at("queues"), queues, () => queueCard(queues));
  const pop = work !== "idle" && (!agent.call_id || desk.pop?.call.call_id === agent.call_id) ? desk.pop : null;
  const key = [work, agent.call_id, pop?.call, work === "reserved" && desk.can_answer, agent.wrap_up_until,
    work === "idle" && [agent.wish, agent.reason, agent.reachable, agent.station, agent.over_limit_since], agent.extended];
  draw(at("centre"), key, () => centre(agent, pop));
  follow();
  drawPop(at("pop"), pop);
  draw(at("recent"), recent, () => recentTable(recent));
  alertRing(work === "reserved" ? whoIs(pop) : null, callId());
  speak(agent);
}

const shownState = (agent) => (agent.work === "idle" ? agent.wish : agent.work);

/** Not ready (Lunch), by a supervisor's hand perhaps, and how long that may take. */
function reasonLines(agent) {
  if (agent.work !== "idle" || agent.wish !== "not_ready") return [];
  const limit = boot.reasons.find((row) => row.reason === agent.reason)?.limit;
  const small = (text, look = "") => el("span", { class: `small ${look}` }, text);
  return [
    agent.reason ? small(reasonName(agent.reason)) : null,
    agent.over_limit_since ? small([icon("crit"), t("state.over_limit", { time: length(limit ?? 0) })], "over") : limit ? small(t("state.limit", { time: length(limit) })) : null,
    agent.set_by && agent.set_by !== me ? small(t("state.set_by", { by: agent.set_by_name ?? agent.set_by })) : null,
  ];
}

/** What comes after the call, when that is something else than now, and a way to take it back. */
function nextLine(agent) {
  const same = agent.next_wish === agent.wish && (agent.next_reason ?? "") === (agent.reason ?? "");
  if (agent.work === "idle" || !agent.next_wish || same) return null;
  return el("div", { class: "nextrow" },
    el("span", { class: "next" }, t("state.next", { state: wishName(agent.next_wish, agent.next_reason) })),
    el("button", { type: "button", class: "ghost icon", id: "take-back", "aria-label": t("do.take_back"), title: t("do.take_back"), onclick: () => setState(agent.wish, agent.reason) }, "✕"));
}

function stateCard(agent, open) {
  const state = shownState(agent);
  return [
    el("div", { class: "pill", "data-state": state, "data-over": agent.over_limit_since ? "yes" : null },
      icon(state),
      el("div", {}, el("b", {}, t(`state.${state}`)), reasonLines(agent)),
      agent.since ? timer({ "data-since": agent.since }) : null,
      nextLine(agent)),
    agent.wish === "logged_out" && agent.work === "idle" ? signOn(agent) : wishes(agent, open),
  ];
}

const wishName = (wish, reason) =>
  wish === "not_ready" && reason ? t("state.with_reason", { state: t("state.not_ready"), reason: reasonName(reason) }) : t(`state.${wish}`);

function signOn(agent) {
  const mine = wantedStation();
  const rows = desk.stations.some((row) => row.station === mine) || !mine ? desk.stations : [{ station: mine, reachable: true }, ...desk.stations];
  const option = ({ station: number, reachable }) => el("option", { value: number, selected: number === mine },
    reachable ? number : t("do.station_off", { station: number }));
  return el("form", { class: "signon", onsubmit: (event) => { event.preventDefault(); setState("ready"); } },
    el("label", { for: "station" }, t("do.station")), el("select", { id: "station", autocomplete: "off", onchange: (event) => { station = event.target.value; } }, rows.map(option)),
    el("button", { class: "primary", id: "sign-on" }, t("do.sign_on")));
}

const wished = (agent) => (agent.work !== "idle" && agent.next_wish ? agent.next_wish : agent.wish);

function wishes(agent, open) {
  const wish = wished(agent);
  const item = (content, state, reason) => el("button", { type: "button", id: `wish-${reason ?? state}`, onclick: () => setState(state, reason) }, content);
  const choice = ({ reason, limit }) => item([el("span", {}, reasonName(reason)), limit ? el("small", {}, length(limit)) : null], "not_ready", reason);
  return el("div", { class: "wishes" },
    el("button", { type: "button", id: "ready", class: agent.work === "idle" && wish === "not_ready" ? "primary" : null, "aria-pressed": String(wish === "ready"), "aria-keyshortcuts": "Alt+Shift+R",
      onclick: () => setState("ready") }, agent.work === "idle" && wish === "not_ready" ? t("do.back") : t("do.ready")),
    el("details", { class: "menu", open: Boolean(open) },
      el("summary", { id: "not-ready", class: agent.work !== "idle" && wish === "not_ready" ? "chosen" : null, "aria-keyshortcuts": "Alt+Shift+S" }, t("do.not_ready")),
      el("div", { class: "items", "aria-label": t("do.reason") },
        boot.reasons.length ? boot.reasons.map(choice) : item(t("state.not_ready"), "not_ready", ""),
        el("hr"), item(t("do.sign_off"), "logged_out"))));
}

function why(agent) {
  const station = agent.station || "?";
  if (agent.wish === "logged_out") return [t("why.logged_out"), false];
  if (agent.reachable === false) return [t("why.unreachable", { station }), true];
  if (agent.wish === "ready") return [t("why.ready", { station }), false];
  const told = ["missed", "rejected", "busy", "link"].includes(agent.reason);
  if (agent.over_limit_since) return [t("why.over_limit", { reason: reasonName(agent.reason) }), true];
  return [t(told ? `why.${agent.reason}` : "why.not_ready", { station }), told];
}

function centre(agent, pop) {
  if (agent.work === "reserved") return ringCard(agent, pop);
  if (agent.work === "talking") return talkCard(agent, pop);
  if (agent.work === "wrap_up") return wrapCard(agent, pop);
  const [text, bad] = why(agent);
  const back = agent.wish === "not_ready" && bad && agent.reachable !== false;
  return el("div", { class: "card empty", id: "idle" }, icon(bad ? "warn" : agent.wish), el("p", { class: bad ? "why bad" : "why" }, text),
    back ? el("button", { type: "button", class: "primary", id: "back", onclick: () => setState("ready") }, t("do.back")) : null);
}

function ringCard(agent, pop) {
  const here = desk.can_answer;
  return el("div", { class: "card call ring", id: "ring", role: "dialog", "aria-labelledby": "ring-title", "data-state": "reserved" },
    el("div", { class: "head" }, el("span", { class: "bell" }, icon("reserved")), el("h2", { id: "ring-title" }, t("ring.title")), timer({ "data-since": agent.since })),
    caller(pop), facts(pop),
    here ? null : el("p", { class: "tip" }, t("ring.pick_up", { station: agent.station || "?" })),
    el("div", { class: "buttons" },
      el("button", { type: "button", class: here ? "answer" : "", id: "answer", "aria-keyshortcuts": "Alt+Shift+A", onclick: () => doCall("answer") }, t("do.answer")),
      el("button", { type: "button", id: "reject", "aria-keyshortcuts": "Alt+Shift+X", onclick: () => doCall("reject") }, t("do.reject"))));
}

function talkCard(agent, pop) {
  return el("div", { class: "card call", id: "talk", "data-state": "talking" },
    el("div", { class: "head" }, icon24("talking"), el("h2", {}, t("call.title")), timer({ "data-since": agent.since })),
    caller(pop), facts(pop), noteField(),
    el("div", { class: "buttons" },
      el("button", { type: "button", class: "danger", id: "hangup", "aria-keyshortcuts": "Alt+Shift+X", onclick: () => doCall("hangup") }, t("do.hangup"))));
}

function wrapCard(agent, pop) {
  const saved = draft(callId());
  const choice = (code) => el("label", {}, el("input", { type: "radio", name: "code", value: code, checked: saved.code === code, onchange: keepDraft }), named("disposition", code));
  return el("form", { class: "card call", id: "wrap", "data-state": "wrap_up", onsubmit: (event) => { event.preventDefault(); finish(); } },
    el("div", { class: "head" }, icon24("wrap_up"), el("h2", {}, t("wrap.title")),
      agent.wrap_up_until ? timer({ "data-until": agent.wrap_up_until }) : timer({ "data-since": agent.since })),
    pop ? caller(pop) : null,
    el("fieldset", { class: "codes" }, el("legend", {}, t("wrap.how")), boot.dispositions.map(choice)),
    noteField(),
    el("div", { class: "buttons" },
      el("button", { type: "button", id: "extend", disabled: Boolean(agent.extended), onclick: () => wrapUp("extend") }, t("do.extend")),
      el("button", { class: "primary", id: "finish", "aria-keyshortcuts": "Alt+Shift+Enter" }, t("do.finish"))));
}

function keepDraft() {
  const code = at("centre").querySelector("input[name=code]:checked")?.value ?? draft(callId()).code;
  keep(callId(), code, at("note").value);
}

/** What was written in another window stands here, too, as long as nothing is written here. */
function follow() {
  const [note, id, call] = [at("note"), callId(), desk.call];
  if (!note || call?.call_id !== id || "note" in draft(id)) return;
  const code = at("centre").querySelector(`input[name=code][value="${call.disposition}"]`);
  if (code) code.checked = true;
  if (note.value !== (call.note ?? "")) note.value = call.note ?? "";
}

function noteField() {
  const field = el("textarea", { id: "note", maxlength: 4000, placeholder: t("wrap.note_hint"), oninput: keepDraft });
  field.value = draft(callId()).note ?? "";
  return el("div", { class: "note" }, el("label", { for: "note" }, t("wrap.note")), field);
}

function icon24(name) {
  const svg = icon(name);
  svg.setAttribute("width", "26");
  return svg;
}

// ---------------------------------------------------------------- said aloud by screen readers

let spoken = "";
function speak(agent) {
  const state = shownState(agent);
  const minutes = Math.floor((now() - Date.parse(agent.since)) / 60000);
  const text = minutes > 0 ? t("say.minutes", { state: t(`state.${state}`), count: minutes }) : t(`state.${state}`);
  if (text === spoken) return;
  spoken = text;
  at("spoken").textContent = text;
  const ringing = state === "reserved" ? `${t("ring.title")}: ${whoIs(desk.pop)}` : "";
  if (at("spoken-now").textContent !== ringing) at("spoken-now").textContent = ringing;
}

// ---------------------------------------------------------------- keys

function press(id) {
  const button = at(id);
  if (button && !button.disabled) button.click();
}
wireKeys({
  KeyA: () => press("answer"),
  KeyX: () => (at("hangup") ? press("hangup") : press("reject")),
  KeyR: () => desk.agent && (desk.agent.wish === "logged_out" ? press("sign-on") : setState(wished(desk.agent) === "ready" ? "not_ready" : "ready")),
  KeyS: () => {
    const menu = at("state").querySelector(".menu");
    if (menu) { menu.open = true; menu.querySelector(".items button").focus(); }
  },
  KeyN: () => at("note")?.focus(),
  Enter: () => press("finish"),
  Slash: () => at("help").showModal(),
  digit: (n) => at("centre").querySelectorAll("input[name=code]")[n - 1]?.click(),
});
at("help-button").addEventListener("click", () => at("help").showModal());
at("help-close").addEventListener("click", () => at("help").close());
document.addEventListener("click", (event) => {
  if (!at("state").querySelector(".menu")?.contains(event.target)) closeMenu();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeMenu();
});

wireBar();
openLink(hear, (live) => {
  at("main").inert = !live;
  if (!live) alertRing(null);
});
setInterval(() => { tickAll(); saveInTime(); if (desk.agent) speak(desk.agent); }, 1000);
setInterval(() => { if (!document.hidden) refresh(); }, 5000);
