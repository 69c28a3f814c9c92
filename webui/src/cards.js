// Parts of the agent's page that only show what they are given.
import { duration, el, moment, named, number, plain, t } from "./lib.js";
import { whyMe } from "./why.js";
import { theirs, whoIs } from "./pop.js";

/** Name and number of who calls, large. */
export function caller(pop) {
  const name = whoIs(pop);
  const digits = (pop && theirs(pop.call)) || t("call.withheld");
  return el("div", {}, el("p", { class: "who" }, name), name === digits ? null : el("p", { class: "number num" }, digits));
}

/** What the menu and the queue know of the call. */
export function facts(pop) {
  if (!pop) return null;
  const { queue, called, called_national: national, flow_path: path = [], waited_seconds: waited, variables = {}, callback } = pop.call;
  const pair = (name, value) => (value ? [el("dt", {}, name), el("dd", {}, value)] : []);
  const collected = Object.entries(variables).map(([key, value]) => `${plain(key)}: ${typeof value === "object" ? JSON.stringify(value) : value}`).join(" · ");
  const step = (part) => el("li", {}, plain(part));
  return el("dl", { class: "facts" },
    pair(t("call.callback"), callback && t("call.asked", { at: moment(callback.requested_at), tries: number(callback.tries) })),
    pair(t("call.queue"), queue && plain(queue)), pair(t("call.dialled"), national || called),
    path.length ? pair(t("call.path"), el("ol", { class: "crumbs" }, path.map(step))) : [],
    pair(t("call.waited"), waited == null ? "" : duration(waited)), pair(t("call.why_me"), whyMe(pop.call.decision)), pair(t("call.variables"), collected));
}

export function queueCard(queues) {
  const row = (queue) => el("li", {}, el("span", {}, plain(queue.queue)), el("b", { class: "num" }, t("queuebar.waiting", { count: number(queue.waiting) })));
  return [el("h2", {}, t("queuebar.title")), queues.length ? el("ul", { class: "qlist" }, queues.map(row)) : el("p", { class: "muted" }, "–")];
}

export function recentTable(recent) {
  if (!recent?.length) return el("p", { class: "muted" }, t("recent.none"));
  const talk = (call) => (call.connected_at && call.ended_at ? duration((Date.parse(call.ended_at) - Date.parse(call.connected_at)) / 1000) : "–");
  const head = ["recent.time", "recent.who", "call.queue", "recent.talk", "recent.result"].map((id) => el("th", { scope: "col", class: id === "call.queue" ? "less" : null }, t(id)));
  const row = (call) => el("tr", {}, el("td", { class: "num" }, moment(call.started_at)),
    el("td", {}, call.customer_name || call.caller_name || theirs(call) || t("call.withheld")), el("td", { class: "less" }, call.queue ? plain(call.queue) : "–"), el("td", { class: "num" }, talk(call)),
    el("td", {}, call.disposition ? named("disposition", call.disposition) : call.outcome && call.ended_at ? named("outcome", call.outcome) : "–"));
  return el("table", {}, el("thead", {}, el("tr", {}, head)), el("tbody", {}, recent.map(row)));
}
