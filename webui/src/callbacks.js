// Callbacks: those that are open, in the order of their turn; cancel one, enter one.
import { api, boot, draw, el, length, moment, named, now, number, plain, setServerTime, t, wireBar } from "./lib.js";
import { because, changed, confirm, say } from "./ask.js";
import { openLink } from "./link.js";
import { callWhy, know } from "./why.js";

const at = (id) => document.getElementById(id);
const FRESH = 2000; // ms between two looks, while the page is visible
const DELAYS = [900, 1800, 3600, 7200, 14400, 28800, 64800]; // s
const [LEAST, MOST] = boot.priorities;
let round = 0;
let queues = [];

const chosen = () => decodeURIComponent(location.hash.slice(1));

/** One look; the next one comes when this one is over, and only while somebody looks. */
async function refresh() {
  const mine = ++round;
  try {
    const [open, lines] = await Promise.all([api("GET", `/callbacks/open?queue=${encodeURIComponent(chosen())}`), api("GET", "/queues")]);
    if (mine !== round) return;
    at("failed").textContent = "";
    choices(lines.items.map((line) => line.queue));
    show(open);
  } catch (refusal) {
    if (mine === round && refusal.status !== 401) at("failed").textContent = because(refusal);
  }
  if (mine === round) setTimeout(() => mine === round && document.visibilityState === "visible" && refresh(), FRESH);
}

/** The queues to choose from; one that is gone stays as long as it is chosen. */
function choices(names) {
  queues = names;
  const all = chosen() && !names.includes(chosen()) ? [...names, chosen()] : names;
  draw(at("queue"), [all, chosen()], () => [el("option", { value: "" }, t("callbacks.all")), ...all.map((name) => el("option", { value: name }, plain(name)))]);
  at("queue").value = chosen();
}

function show({ items, total }) {
  at("count").textContent = total ? `· ${number(total)}${total > items.length ? ` (${t("callbacks.first", { count: number(items.length) })})` : ""}` : "";
  draw(at("list"), [items, new Date(now()).getDate()], () => (items.length ? table(items) : el("p", { class: "muted", id: "none" }, t("callbacks.none"))), "button:not(:disabled)");
}

const COLUMNS = ["board.queue", "callbacks.number", "callbacks.asked", "board.position", "callbacks.next", "callbacks.tries", "board.priority", "callbacks.state", "callbacks.expires"];
const NUMBERS = ["board.position", "board.priority"];

function table(items) {
  const head = COLUMNS.map((id) => el("th", { scope: "col", class: NUMBERS.includes(id) ? "n" : null }, t(id)));
  return el("table", { class: "callbacks" }, el("thead", {}, el("tr", {}, head, el("td", {}))), el("tbody", {}, items.map(row)));
}

function row(one) {
  const cell = (id, ...what) => el("td", { "data-label": t(id), class: NUMBERS.includes(id) ? "n" : null }, what);
  const small = (text) => (text ? el("small", {}, text) : null);
  const wide = cell("callbacks.state", el("span", { class: one.state === "dialing" ? "now" : null }, t(`callbacks.${one.state}`)), small(callWhy(one)));
  const who = cell("callbacks.number", one.number_national || one.number, small(one.customer_name));
  wide.className = "wide";
  who.className = "number";
  return el("tr", { "data-callback": one.callback_id, "data-state": one.state },
    el("th", { scope: "row", class: "name" }, plain(one.queue)), who,
    cell("callbacks.asked", moment(one.requested_at), small(one.asked_by ? t("callbacks.by", { by: one.asked_by_name }) : null)),
    cell("board.position", one.position ? number(one.position) : "–"), cell("callbacks.next", due(one)),
    cell("callbacks.tries", el("span", { class: "keep" }, t("callbacks.tries_of", { tries: number(one.tries), most: number(one.tries_most) })), small(one.last_result ? named("callresult", one.last_result) : null)),
    cell("board.priority", number(one.priority)), wide, cell("callbacks.expires", moment(one.expires_at)),
    el("td", { class: "do" }, el("button", { type: "button", id: `cancel-${one.callback_id}`, disabled: one.state === "dialing", "aria-label": t("callbacks.cancel_it", { number: one.number_national || one.number }), onclick: () => ask(one) }, t("app.cancel"))));
}

/** When its phone may ring. */
function due(one) {
  if (one.state === "dialing") return t("callbacks.now");
  return one.next_try_at ? moment(one.next_try_at) : t(one.position ? "callbacks.in_turn" : "callbacks.later");
}

function ask(one) {
  const about = { number: one.number_national || one.number, queue: plain(one.queue) };
  confirm(t("callbacks.cancel_title", about), t("callbacks.cancel_text", about), t("callbacks.cancel_go"), () => api("POST", `/callbacks/${encodeURIComponent(one.callback_id)}/cancel`));
}

/** A dialog that stays open, with what was typed, as long as the server refuses it. */
function enter() {
  const dialog = at("ask");
  const later = DELAYS.map((seconds) => el("option", { value: seconds }, t("callbacks.delay", { time: length(seconds), at: moment(now() + seconds * 1000) })));
  const form = el("form", { id: "enter", onsubmit: (event) => { event.preventDefault(); send(form); } },
    el("label", { for: "enter-number" }, t("callbacks.number")),
    el("input", { id: "enter-number", name: "number", type: "tel", required: true, maxlength: "40", autocomplete: "off" }),
    el("label", { for: "enter-queue" }, t("board.queue")),
    el("select", { id: "enter-queue", name: "queue", autocomplete: "off" }, queues.map((name) => el("option", { value: name, selected: name === chosen() }, plain(name)))),
    el("label", { for: "enter-priority" }, t("board.priority")),
    el("input", { id: "enter-priority", name: "priority", type: "number", step: "1", min: String(LEAST), max: String(MOST), placeholder: t("callbacks.own_priority"), autocomplete: "off" }),
    el("label", { for: "enter-delay" }, t("callbacks.next")),
    el("select", { id: "enter-delay", name: "delay", autocomplete: "off" }, el("option", { value: "0" }, t("callbacks.in_turn")), later),
    el("p", { class: "error", id: "enter-error", role: "alert" }),
    el("div", { class: "buttons" }, el("button", { class: "primary", id: "enter-go" }, t("callbacks.new")),
      el("button", { type: "button", id: "ask-no", onclick: () => dialog.close() }, t("app.cancel"))));
  dialog.replaceChildren(el("h2", { id: "ask-title" }, t("callbacks.new")), form);
  dialog.showModal();
  at("enter-number").focus();
}

async function send(form) {
  const [where, queue, priority, delay] = ["number", "queue", "priority", "delay"].map((name) => form.elements[name].value.trim());
  const body = { number: where, queue };
  if (priority) body.priority = Number(priority);
  if (Number(delay)) body.not_before = new Date(now() + Number(delay) * 1000).toISOString();
  at("enter-go").disabled = true;
  try {
    await api("POST", "/callbacks", body);
    at("ask").close();
    say(t("callbacks.entered"));
    changed();
  } catch (refusal) {
    at("enter-error").textContent = because(refusal);
    at("enter-go").disabled = false;
    at("enter-number").focus();
  }
}

at("queue").addEventListener("change", () => { location.hash = encodeURIComponent(at("queue").value); });
at("new").addEventListener("click", enter);
window.addEventListener("hashchange", refresh);
document.addEventListener("changed", refresh);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());
wireBar();
openLink(({ at: said }) => setServerTime(said));
api("GET", "/agents").then(({ items }) => know(items), () => {});
refresh();
