// Flows: the list, and one flow with its picture, its figures, and who is in it now.
import { Refusal, api, draw, duration, el, number, percent, t, timer } from "./lib.js";
import { because } from "./ask.js";

const at = (id) => document.getElementById(id);
const DAY = 86400000;
const HOUR = 3600000;
const n = (id) => el("th", { scope: "col", class: "n" }, t(id));
const head = (id) => el("th", { scope: "col" }, t(id));

export const flows = {
  frame: () => [el("section", { class: "card" }, el("h1", {}, t("flows.title")), el("div", { id: "list", class: "scroll" }))],
  look(name, state) {
    draw(at("list"), [state.items, state.live, state.canary], () => list(state));
  },
  failed: (refusal) => draw(at("list"), refusal.code, () => el("p", { class: "error" }, because(refusal))),
};

function list(state) {
  if (!state.items.length) return el("p", { class: "muted" }, t("flows.none"));
  const live = t("flows.live", { version: state.live.version });
  const canary = state.canary ? ` · ${t("flows.canary", { version: state.canary.version, percent: state.canary.share })}` : "";
  const row = (flow) => el("tr", {}, el("td", { class: "key" }, el("a", { href: `#flow/${encodeURIComponent(flow.flow)}`, id: `flow-${flow.flow}` }, flow.flow)),
    el("td", {}, flow.numbers.join(", ") || "–"), el("td", {}, flow.file), el("td", { class: "n" }, number(flow.nodes)),
    el("td", { class: "n" }, number(flow.callers)));
  return [el("p", { class: "muted small" }, live + canary),
    el("table", {}, el("thead", {}, el("tr", {}, head("flows.flow"), head("flows.numbers"), head("flows.file"), n("flows.nodes"), n("flows.now"))),
      el("tbody", {}, state.items.map(row)))];
}

// ---- one flow
let period = "today";
let version = "";
let whole = false; // the picture as large as the page is wide
let chosen = "";
let choicesOf = ""; // what served when the versions to choose from were asked for
let drawnText = "";

export const flow = {
  frame(name) {
    [chosen, drawnText, choicesOf, whole] = ["", "", "", false];
    return [
      el("div", { class: "head" }, el("a", { href: "#flows" }, `← ${t("flows.title")}`), el("h1", { id: "name" }, name),
        el("label", {}, t("flows.period"), el("select", { id: "period", onchange: (event) => { period = event.target.value; again(name); } },
          ["today", "week"].map((one) => el("option", { value: one, selected: one === period }, t(`flows.${one}`))))),
        el("label", {}, t("flows.version"), el("select", { id: "version", onchange: (event) => { version = event.target.value; again(name); } }))),
      el("div", { id: "tiles", class: "tiles" }),
      el("section", { class: "card" }, el("div", { class: "head" }, el("h2", {}, t("flows.drawing")),
        el("div", { class: "buttons" }, el("button", { type: "button", id: "fit", "aria-pressed": "false", onclick: fit }, t("flows.fit")),
          el("a", { class: "button", id: "save", download: `${name}.svg` }, t("flows.save")))),
        el("div", { id: "canvas", class: "canvas", tabindex: "0", role: "region", "aria-label": t("flows.drawing") })),
      el("section", { class: "card" }, el("h2", {}, t("flows.here")), el("div", { id: "here", class: "scroll", tabindex: "0", role: "region", "aria-label": t("flows.here") })),
      el("section", { class: "card" }, el("h2", {}, t("flows.figures")), el("div", { id: "figures", class: "scroll" })),
      el("section", { class: "card" }, el("h2", {}, t("flows.by_version")), el("div", { id: "by-version", class: "scroll" }),
        el("p", { class: "muted small" }, t("flows.containment_is"))),
    ];
  },
  async look(name, state, still) {
    const serving = `${state?.live?.version} ${state?.canary?.version}`;
    if (state && serving !== choicesOf) await choices(serving, still);
    await Promise.all([picture(name, still), here(name, still), figures(name, still)]);
  },
  failed(refusal) {
    draw(at("tiles"), refusal.code, () => el("p", { class: "error" }, because(refusal)));
    if (refusal.status !== 404) return;
    drawnText = ""; // not in this version: nothing of another one is shown under its name
    at("canvas").replaceChildren();
    for (const id of ["figures", "by-version"]) draw(at(id), refusal.code, () => null);
  },
};

function again(name) {
  drawnText = "";
  flow.look(name, null, () => true).catch(flow.failed);
}

function query(more = {}) {
  const asked = new URLSearchParams(more);
  // To the full hour: who asks again gets what is already counted.
  if (period === "week") asked.set("since", new Date(Math.floor((Date.now() - 7 * DAY) / HOUR) * HOUR).toISOString());
  if (version) asked.set("version", version);
  return asked.size ? `?${asked}` : "";
}

const path = (name) => `/flows/${encodeURIComponent(name)}`;

/** The picture, parsed by the browser as the document it is: no text becomes a part of the page here. */
function drawing(address) {
  return new Promise((done, failed) => {
    const ask = new XMLHttpRequest();
    ask.open("GET", address);
    ask.responseType = "document";
    ask.timeout = 10000;
    const no = () => failed(new Refusal(ask.status, ask.status === 404 ? "not_found" : "unreachable", "", null));
    ask.onload = () => (ask.status === 200 && ask.responseXML ? done(ask.responseXML.documentElement) : no());
    ask.onerror = ask.ontimeout = no;
    ask.send();
  });
}

async function picture(name, still) {
  at("save").href = `/api/v1${path(name)}/drawing${query()}`;
  const made = await drawing(`/api/v1${path(name)}/drawing${query({ style: "none" })}`); // the page has /drawing.css
  if (!still() || !at("canvas")) return;
  const text = made.outerHTML;
  if (text === drawnText) return;
  const first = drawnText === "";
  drawnText = text;
  const svg = document.importNode(made, true);
  for (const node of svg.querySelectorAll(".node")) {
    node.setAttribute("tabindex", "0");
    node.setAttribute("role", "button");
    node.addEventListener("click", () => choose(node.dataset.node, true));
    node.addEventListener("keydown", (event) => { if (event.key === "Enter") choose(node.dataset.node, true); });
  }
  const focused = at("canvas").contains(document.activeElement) ? document.activeElement.dataset.node : undefined;
  at("canvas").replaceChildren(svg);
  choose(chosen, false);
  if (focused) svg.querySelector(`.node[data-node="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  if (first) centre(svg);
}

/** Where callers come in is what is seen first. */
function centre(svg) {
  const start = svg.querySelector(".entry .end");
  const canvas = at("canvas");
  if (start) canvas.scrollLeft += start.getBoundingClientRect().left - canvas.getBoundingClientRect().left - canvas.clientWidth / 2;
}

function fit() {
  whole = !whole;
  at("fit").setAttribute("aria-pressed", String(whole));
  at("fit").textContent = t(whole ? "flows.full" : "flows.fit");
  at("canvas").classList.toggle("fit", whole);
  const svg = at("canvas").querySelector("svg");
  if (svg && !whole) centre(svg);
}

function choose(node, jump) {
  chosen = node;
  for (const one of document.querySelectorAll(".canvas .node, #figures tr")) one.classList.toggle("chosen", Boolean(node) && one.dataset.node === node);
  if (jump) document.querySelector("#figures tr.chosen")?.scrollIntoView({ block: "nearest", behavior: "smooth" });
}

async function here(name, still) {
  const { items } = await api("GET", "/flows/live");
  if (!still() || !at("here")) return;
  const mine = items.filter((caller) => caller.flow === name && (!version || String(caller.version) === version));
  draw(at("here"), mine, () => (mine.length ? callers(mine) : el("p", { class: "muted" }, t("flows.nobody"))));
}

function callers(mine) {
  const row = (caller) => el("tr", {}, el("td", { class: "who" }, caller.caller ?? t("call.withheld")), el("td", {}, caller.node),
    el("td", { class: "n" }, timer({ "data-since": caller.since })), el("td", { class: "n" }, String(caller.version)));
  return el("table", {}, el("thead", {}, el("tr", {}, head("recent.who"), head("flows.node"), n("flows.since"), n("flows.version"))), el("tbody", {}, mine.map(row)));
}

async function figures(name, still) {
  const stats = await api("GET", `${path(name)}/stats${query()}`);
  if (!still() || !at("figures")) return;
  const { nodes, versions } = stats;
  draw(at("tiles"), versions, () => tiles(versions));
  draw(at("figures"), nodes, () => (nodes.length ? nodeTable(nodes) : el("p", { class: "muted" }, t("flows.no_calls"))));
  draw(at("by-version"), versions, () => (versions.length ? versionTable(versions) : el("p", { class: "muted" }, t("flows.no_calls"))));
  choose(chosen, false);
}

const over = (part, all) => (all ? part / all : null);
const seconds = (s) => (s == null ? "–" : s < 60 ? t("flows.seconds", { n: number(Math.round(s * 10) / 10) }) : duration(s));

function tiles(versions) {
  const sum = (key) => versions.reduce((all, row) => all + (row[key] ?? 0), 0);
  const calls = sum("calls");
  const done = calls - sum("running");
  const mean = calls ? versions.reduce((all, row) => all + (row.mean_seconds ?? 0) * row.calls, 0) / calls : null;
  const tile = (id, value, more) => el("div", { class: "card tile", id: `tile-${id}`, title: t(`flows.${id}_is`) }, el("h2", {}, t(`flows.${id}`)),
    el("p", {}, value, more == null ? null : el("small", {}, ` · ${number(more)}`)));
  return [tile("calls", number(calls)), ...["contained", "people", "dropped"].map((id) => tile(id, percent(over(sum(id), done)), sum(id))), tile("mean", seconds(mean))];
}

/** A small bar: figures first, colour only besides. */
function bar(share) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "share");
  svg.setAttribute("viewBox", "0 0 100 6");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  for (const width of [100, Math.min(100, share * 100)]) {
    const rect = document.createElementNS(space, "rect");
    rect.setAttribute("width", width);
    rect.setAttribute("height", 6);
    svg.append(rect);
  }
  return svg;
}

function nodeTable(nodes) {
  const way = (one) => el("span", {}, `${one.outcome === "hangup" && !one.to ? t("drawing.left") : one.outcome}${one.to ? ` → ${one.to}` : ""} `, el("b", {}, number(one.count)));
  const row = (node) => el("tr", { "data-node": node.node }, el("td", { class: "key" }, node.node, el("div", { class: "muted small" }, node.verb)),
    el("td", { class: "n" }, number(node.visits)),
    el("td", { class: "n" }, node.left ? `${number(node.left)} · ${percent(over(node.left, node.visits))}` : "0", node.left ? bar(node.left / node.visits) : null),
    el("td", { class: "n" }, seconds(node.mean)), el("td", { class: "n" }, seconds(node.median)), el("td", { class: "n" }, seconds(node.p90)),
    el("td", { class: "ways" }, node.outcomes.map(way)));
  const byVisits = [...nodes].sort((a, b) => b.visits - a.visits || a.node.localeCompare(b.node));
  return el("table", {}, el("thead", {}, el("tr", {}, head("flows.node"), n("drawing.visits"), n("drawing.left"), n("flows.mean"), n("flows.median"), n("flows.p90"), head("flows.ways"))),
    el("tbody", {}, byVisits.map(row)));
}

function versionTable(versions) {
  const row = (one) => el("tr", {}, el("td", { class: "key" }, String(one.version || "–")), el("td", { class: "n" }, number(one.calls)),
    ["contained", "people", "dropped", "failed"].map((id) => el("td", { class: "n" }, percent(over(one[id], one.calls - one.running)))),
    el("td", { class: "n" }, number(one.running)), el("td", { class: "n" }, seconds(one.mean_seconds)));
  return el("table", {}, el("thead", {}, el("tr", {}, [head("flows.version"), ...["calls", "contained", "people", "dropped", "failed", "running", "mean"].map((id) => n(`flows.${id}`))])),
    el("tbody", {}, versions.map(row)));
}

async function choices(serving, still) {
  const { items } = await api("GET", "/flow-versions");
  if (!still() || !at("version")) return;
  choicesOf = serving;
  draw(at("version"), items.map((one) => one.version), () => [el("option", { value: "" }, t("flows.all")), ...items.map((one) => el("option", { value: one.version }, String(one.version)))]);
  at("version").value = version;
}
