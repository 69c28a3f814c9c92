// The wallboard: the server's last figures, clocks that tick, and a cover over them when they are old.
import { boot, clock, draw, duration, el, icon, length, now, number, percent, plain, reasonName, t, tickAll, timer, wireBar } from "./lib.js";
import { openLink } from "./link.js";
import { askAgent, callerTable } from "./supervise.js";
import { know } from "./why.js";

const at = (id) => document.getElementById(id);
const MOST = 50; // callers shown; the others are counted
const LIMITS = { not_ready: 1800, wrap_up: 120, talking: 1200 }; // seconds in a state until it is marked
let board = null;
let live = false;
let lastAt = null;

function hear({ type, data, at: said }) {
  lastAt = Date.parse(said);
  if (type === "queue") return; // the board that follows has it, too
  if (type === "wallboard") board = data;
  if (type === "agent_state" && board) board.agents = board.agents.map((row) => (row.agent_id === data.agent_id ? { ...row, ...data } : row));
  render();
}

// ---- levels: ux rules; a figure that is fine has no colour
const above = (value, warn, crit) => (value == null ? "ok" : value >= crit ? "crit" : value >= warn ? "warn" : "ok");
const below = (value, warn, crit) => (value == null ? "ok" : value < crit ? "crit" : value < warn ? "warn" : "ok");
const target = (queue) => queue.service_level_within ?? 20;
const waited = (since) => (since ? (now() - Date.parse(since)) / 1000 : 0);
const levelOfWaiting = (queue) => (queue.waiting > 0 && !queue.ready && !queue.talking ? "crit" : above(queue.waiting, 5, 10));
const levelOfLongest = (since, limit) => above(waited(since), limit, 3 * limit);
const levelOfService = (value, percentage = 80) => below(value, percentage / 100, percentage / 100 - 0.1);
const levelOfAbandoned = (part) => above(part, 0.05, 0.08);
const worst = (levels) => ["crit", "warn"].find((level) => levels.includes(level)) ?? "ok";

function totals() {
  const sum = (key) => board.queues.reduce((all, queue) => all + (queue[key] ?? 0), 0);
  const count = (state) => board.agents.filter((agent) => agent.state === state).length;
  const starts = board.queues.map((queue) => queue.longest_since).filter(Boolean).sort();
  const offered = sum("offered_today");
  const rated = board.queues.filter((queue) => queue.service_level != null);
  const weight = rated.reduce((all, queue) => all + (queue.offered_today || 0), 0);
  return {
    waiting: sum("waiting"), longest_since: starts[0] ?? null, offered_today: offered,
    answered_today: sum("answered_today"), abandoned_today: sum("abandoned_today"),
    service_level: weight ? rated.reduce((all, queue) => all + queue.service_level * queue.offered_today, 0) / weight : null,
    ready: count("ready"), reserved: count("reserved"), talking: count("talking"), wrap_up: count("wrap_up"), not_ready: count("not_ready"),
    ...board.totals,
  };
}

function render() {
  if (!board) return;
  know(board.agents);
  const sums = totals();
  draw(at("tiles"), [sums, levels(sums), waited(sums.longest_since) >= 3600], () => tiles(sums));
  draw(at("queues"), [board.queues, board.queues.map(queueLevels)], queueTable);
  const callers = board.waiting ?? [];
  draw(at("callers"), [callers.slice(0, MOST), callers.slice(0, MOST).map(levelOfCaller)], () => callerTable(callers.slice(0, MOST), board.queues, levelOfCaller));
  const more = Math.max(callers.length, sums.waiting ?? 0) - Math.min(callers.length, MOST);
  at("callers-more").textContent = more > 0 ? `· ${t("board.more", { count: number(more) })}` : "";
  const on = board.agents.filter((agent) => agent.state !== "logged_out");
  draw(at("agents"), [on, on.map(tooLong)], () => (on.length ? on.sort(byState).map(person) : el("p", { class: "muted" }, t("board.none_agents"))));
  const off = board.agents.length - on.length;
  at("signed-off").textContent = off ? `· ${t("board.signed_off", { count: number(off) })}` : "";
  const alarm = sums.waiting > 0 && on.length === 0;
  if (at("alarm").hidden === alarm) {
    at("alarm").hidden = !alarm;
    at("alarm").textContent = alarm ? t("board.alarm") : "";
  }
}

function levels(sums) {
  return {
    waiting: worst(board.queues.map(levelOfWaiting)),
    longest: worst(board.queues.map((queue) => levelOfLongest(queue.longest_since, target(queue)))),
    sl: levelOfService(sums.service_level),
    abandoned: levelOfAbandoned(sums.offered_today ? sums.abandoned_today / sums.offered_today : null),
  };
}

function tile(name, level, value, extra = {}) {
  return el("div", { class: "card tile", id: `tile-${name}`, "data-level": level, title: t(`formula.${name}`), ...extra },
    el("h2", {}, t(`board.${name}`), el("span", { class: "unseen" }, ` (${t(`level.${level}`)})`)),
    level === "ok" ? null : icon(level), el("p", { class: "big" }, value));
}

function tiles(sums) {
  const level = levels(sums);
  const part = sums.offered_today ? sums.abandoned_today / sums.offered_today : null;
  const now_ = (name) => el("div", { title: t(`formula.${name}`) }, el("b", {}, number(sums[name])), el("span", {}, t(`board.${name}`)));
  return [
    tile("waiting", level.waiting, number(sums.waiting)),
    tile("longest", level.longest, sums.longest_since ? timer({ "data-since": sums.longest_since, class: waited(sums.longest_since) >= 3600 ? "hours" : "" }) : "–"),
    tile("sl", level.sl, percent(sums.service_level)),
    tile("answered", "ok", [number(sums.answered_today), el("small", {}, ` / ${number(sums.offered_today)}`)]),
    tile("abandoned", level.abandoned, [number(sums.abandoned_today), part == null ? null : el("small", {}, ` · ${percent(part)}`)]),
    el("div", { class: "card tile wide" }, el("h2", {}, t("board.agents")), el("div", { class: "people-now" }, ["ready", "reserved", "talking", "wrap_up", "not_ready"].map(now_))),
  ];
}

const queueLevels = (queue) => [levelOfWaiting(queue), levelOfLongest(queue.longest_since, target(queue)), levelOfService(queue.service_level, queue.service_level_target),
  levelOfAbandoned(queue.offered_today ? queue.abandoned_today / queue.offered_today : null)];

const COLUMNS = [["w", "waiting"], ["l", "longest"], ["s", "sl"], ["asa", "asa"], ["ready", "ready"], ["talking", "talking"],
  ["o", "answered"], ["a", "answered"], ["x", "abandoned"]];

const goalOf = (row) => target(board.queues.find((queue) => queue.queue === row.queue) ?? {});
const levelOfCaller = (row) => levelOfLongest(row.since, goalOf(row));

const columns = () => (board.queues.some((queue) => queue.callbacks != null) ? [...COLUMNS, ["c", "callbacks"]] : COLUMNS);

function queueTable() {
  if (!board.queues.length) return el("p", { class: "muted" }, t("board.none_queues"));
  const head = columns().map(([name, formula]) => el("th", { scope: "col", title: t(`formula.${formula}`) }, t(`board.${name}`)));
  return el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, t("board.queue")), head)), el("tbody", {}, board.queues.map(queueRow)));
}

function queueRow(queue) {
  const [waiting, longest, service, abandoned] = queueLevels(queue);
  const share = queue.offered_today ? queue.abandoned_today / queue.offered_today : null;
  const goal = queue.service_level_target == null ? null
    : el("small", {}, t("board.goal", { percent: percent(queue.service_level_target / 100), seconds: number(target(queue)) }));
  const values = [
    [number(queue.waiting), waiting], [queue.longest_since ? timer({ "data-since": queue.longest_since }) : "–", longest],
    [percent(queue.service_level), service, goal], [queue.speed_of_answer == null ? "–" : duration(queue.speed_of_answer), "ok"],
    [number(queue.ready), "ok"], [number(queue.talking), "ok"], [number(queue.offered_today), "ok"], [number(queue.answered_today), "ok"],
    [number(queue.abandoned_today), abandoned, queue.abandoned_today ? el("small", {}, percent(share)) : null],
    ...(columns() === COLUMNS ? [] : [[queue.callbacks ? el("a", { href: `/callbacks#${encodeURIComponent(queue.queue)}`, id: `callbacks-${queue.queue}` }, number(queue.callbacks)) : number(queue.callbacks), "ok"]]),
  ];
  const cell = ([value, level, more], n) => el("td", { "data-level": level, "data-label": t(`board.${columns()[n][0]}`) },
    el("span", {}, level === "ok" ? null : icon(level), value, level === "ok" ? null : el("span", { class: "unseen" }, t(`level.${level}`))), more);
  return el("tr", { "data-queue": queue.queue }, el("th", { scope: "row", class: "name" }, plain(queue.queue)), values.map(cell));
}

const order = ["ready", "reserved", "talking", "wrap_up", "not_ready"];
const byState = (a, b) => order.indexOf(a.state) - order.indexOf(b.state) || String(a.name).localeCompare(String(b.name));
const limited = new Set(boot.reasons.map(({ reason }) => reason));
const tooLong = (agent) => Boolean(agent.over_limit_since) || (!(agent.state === "not_ready" && limited.has(agent.reason)) && waited(agent.since) > (LIMITS[agent.state] ?? Infinity));

/** What comes after the call, when that is something else. */
function nextOf(agent) {
  if (agent.work === "idle" || !agent.next_wish || (agent.next_wish === agent.wish && (agent.next_reason ?? "") === (agent.reason ?? ""))) return null;
  return el("span", { class: "then" }, t("state.next", { state: agent.next_reason ? reasonName(agent.next_reason) : t(`state.${agent.next_wish}`) }));
}

function person(agent) {
  const reason = agent.state === "not_ready" && agent.reason ? ` · ${reasonName(agent.reason)}` : "";
  const name = agent.name || agent.agent_id;
  const over = agent.over_limit_since ? el("span", { class: "over" }, icon("crit"), t("state.over_limit_short", { time: length(limitOf(agent.reason)) })) : null;
  return el("div", { class: `person ${tooLong(agent) ? "long" : ""}`, "data-state": agent.state, "data-agent": agent.agent_id, "data-over": agent.over_limit_since ? "yes" : null }, icon(agent.state),
    el("div", {}, el("b", { title: name }, name), el("span", { class: "what" }, t(`state.${agent.state}`) + reason), over, nextOf(agent)),
    el("div", { class: "right" }, agent.since ? timer({ "data-since": agent.since }) : null,
      agent.calls_today ? el("span", { class: "done" }, t(agent.calls_today === 1 ? "board.call" : "board.calls", { count: number(agent.calls_today) })) : null),
    el("button", { type: "button", class: "ghost icon", id: `agent-${agent.agent_id}`, "aria-label": t("do.for", { name }), onclick: () => askAgent(agent) }, "⋯"));
}

const limitOf = (name) => boot.reasons.find(({ reason }) => reason === name)?.limit ?? 0;

function cover() {
  const old = !live || (lastAt !== null && now() - lastAt > 10000);
  const shown = old && lastAt !== null;
  at("stale").hidden = !shown;
  at("main").classList.toggle("old", shown);
  if (shown) at("stale").firstElementChild.textContent = t("board.stale", { time: clock(lastAt) });
}

wireBar();
openLink(hear, (isLive) => { live = isLive; cover(); });
setInterval(() => { tickAll(); render(); cover(); }, 1000);
