// What a supervisor does from the wallboard: one dialog for a caller who waits, one for an agent.
import { api, boot, clock, el, named, number, plain, reasonName, t, timer } from "./lib.js";
import { because, say } from "./ask.js";
import { agentLines, callLines, callWhy, nameOf, whyMe } from "./why.js";

const dialog = document.getElementById("ask");
const path = (kind, id, verb) => `/${kind}/${encodeURIComponent(id)}/${verb}`;

function open(title, ...parts) {
  const close = el("button", { type: "button", id: "ask-no", onclick: () => dialog.close() }, t("app.close"));
  dialog.replaceChildren(el("h2", { id: "ask-title" }, title), ...parts.flat().filter(Boolean), el("div", { class: "buttons" }, close));
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("[data-first]") ?? close).focus();
}

/** Do it; what the server says of it is told below the board, a refusal in the dialog's place. */
async function act(work) {
  dialog.close();
  try {
    await work();
    say(t("do.done"));
  } catch (refusal) {
    if (refusal.status !== 401) say(because(refusal));
  }
}

const form = (onsubmit, ...parts) => el("form", { class: "row", onsubmit: (event) => { event.preventDefault(); onsubmit(event.target); } }, parts);
const field = (id, label, input) => [el("label", { for: id }, label), input];
const select = (id, options, more = {}) => el("select", { id, name: id, autocomplete: "off", ...more }, options.map(([value, text]) => el("option", { value }, text)));

/** A list that fills when it is asked for. */
function whyList(address, linesOf) {
  const place = el("div", { class: "whylist", role: "status" });
  const button = el("button", { type: "button", id: "ask-why", "aria-expanded": "false", onclick: async () => {
    button.setAttribute("aria-expanded", "true");
    const said = await api("GET", address).catch((refusal) => ({ failed: refusal }));
    const lines = said.failed ? [because(said.failed)] : linesOf(said);
    place.replaceChildren(lines.length ? el("ul", {}, lines.map((line) => el("li", {}, line))) : el("p", { class: "muted" }, t("whynot.nothing")));
  } }, t("do.why"));
  return [button, place];
}

const offerText = (offer) => t("whynot.offer", { agent: nameOf(offer.agent), time: offer.offered_at ? clock(Date.parse(offer.offered_at)) : "", result: named("offer", offer.result ?? "open"), why: whyMe(offer.decision, offer.agent) });

export function askCaller(row, queues) {
  const others = queues.map((queue) => queue.queue).filter((queue) => queue !== row.queue);
  const to = (verb, body) => act(() => api("POST", path("calls", row.call_id, verb), body));
  open(row.caller_name || row.caller || t("call.withheld"),
    el("p", { class: "muted" }, `${plain(row.queue)} · `, timer({ "data-since": row.since })),
    form((asked) => to("priority", { priority: Number(asked.priority.value) }),
      field("ask-priority", t("board.priority"), el("input", { id: "ask-priority", name: "priority", type: "number", step: "1", min: "-1000", max: "1000", required: true, value: row.priority, "data-first": true })),
      el("button", { class: "primary", id: "ask-raise" }, t("do.set"))),
    others.length ? form((asked) => to("move", { queue: asked["ask-queue"].value }),
      field("ask-queue", t("do.move_to"), select("ask-queue", others.map((queue) => [queue, plain(queue)]))),
      el("button", { id: "ask-move" }, t("do.move"))) : null,
    whyList(path("calls", row.call_id, "why"), ({ waits, offers }) => [...(waits ? callLines(waits) : []), ...offers.map(offerText)]));
}

export function askAgent(row) {
  const set = (state, reason = "") => act(() => api("PUT", path("agents", row.agent_id, "state"), { state, reason }));
  const wrap = (action) => act(() => api("POST", path("agents", row.agent_id, "wrap-up"), { action }));
  const button = (id, text, onclick, more = {}) => el("button", { type: "button", id, onclick, ...more }, text);
  const reasons = [["", t("do.no_reason")], ...boot.reasons.map(({ reason }) => [reason, reasonName(reason)])];
  open(row.name || row.agent_id,
    el("p", { class: "muted" }, t(`state.${row.state}`), row.station ? ` · ${t("board.station", { station: row.station })}` : ""),
    row.work === "idle" ? null : el("p", { class: "tip" }, t("do.after_call")),
    el("div", { class: "row" },
      button("ask-ready", t("state.ready"), () => set("ready"), { "data-first": true }),
      button("ask-off", t("do.sign_off"), () => set("logged_out"))),
    form((asked) => set("not_ready", asked["ask-reason"].value),
      field("ask-reason", t("state.not_ready"), select("ask-reason", reasons)), el("button", { id: "ask-not-ready" }, t("do.set"))),
    row.work === "wrap_up" ? el("div", { class: "row" },
      button("ask-extend", t("do.extend"), () => wrap("extend"), { disabled: Boolean(row.extended) }), button("ask-finish", t("do.end_wrap_up"), () => wrap("finish"))) : null,
    whyList(path("agents", row.agent_id, "why"), agentLines));
}

/** Who waits, the next of each queue first. */
export function callerTable(rows, queues, levelOf) {
  if (!rows.length) return el("p", { class: "muted" }, t("board.none_callers"));
  const head = ["board.queue", "board.caller", "board.position", "board.waited", "board.priority", "board.step", "board.why"];
  const cell = (id, value, more = {}) => el("td", { "data-label": t(id), ...more }, value);
  const line = (row) => el("tr", { "data-call": row.call_id },
    el("th", { scope: "row", class: "name" }, plain(row.queue)),
    cell("board.caller", row.caller_name || row.caller || t("call.withheld")), cell("board.position", row.position ? number(row.position) : "–"),
    cell("board.waited", el("span", {}, timer({ "data-since": row.since })), { "data-level": levelOf(row) }),
    cell("board.priority", number(row.priority)), cell("board.step", row.steps > 1 ? t("board.step_of", { step: number(row.step), steps: number(row.steps - 1) }) : "–"),
    cell("board.why", [callWhy(row), raised(row) ? el("small", {}, t("board.raised", { rules: raised(row) })) : null], { class: "wide" }),
    el("td", { class: "do" }, el("button", { type: "button", id: `caller-${row.call_id}`, "aria-label": t("do.for", { name: row.caller_name || row.caller || t("call.withheld") }), onclick: () => askCaller(row, queues) }, "⋯")));
  return el("table", { class: "callers" }, el("thead", {}, el("tr", {}, head.map((id) => el("th", { scope: "col" }, t(id))), el("td", {}))), el("tbody", {}, rows.map(line)));
}

/** The rules that changed his priority, as they stand in queues.yaml. */
const raised = (row) => (row.raised ?? []).map((rule) => String(rule).replace(/[{}]/g, "").trim()).join(", ");
