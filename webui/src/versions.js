// Versions of the flows folder: publish, give a share, roll back, and what differs.
import { api, draw, el, moment, number, t } from "./lib.js";
import { because, changed, confirm, isAdmin, say } from "./ask.js";

const at = (id) => document.getElementById(id);
const head = (id) => el("th", { scope: "col" }, t(id));

export const versions = {
  frame: () => [
    isAdmin ? el("section", { class: "card" }, el("h2", {}, t("versions.publish")), form()) : null,
    el("section", { class: "card" }, el("h1", {}, t("versions.title")), el("div", { id: "versions", class: "scroll" })),
  ].filter(Boolean),
  async look(name, state, still) {
    const { items } = await api("GET", "/flow-versions");
    if (still() && !state.problems.length) mended();
    if (still()) draw(at("versions"), [items, state.live, state.canary, state.callers], () => table(items, state));
  },
  failed: (refusal) => draw(at("versions"), refusal.code, () => el("p", { class: "error" }, because(refusal))),
};

function form() {
  return el("form", { class: "publish", id: "publish", onsubmit: publish },
    el("label", {}, t("versions.note"), el("input", { id: "publish-note", maxlength: "500", autocomplete: "off" })),
    el("label", {}, t("versions.share"), el("select", { id: "publish-share" }, [100, 50, 20, 10, 5, 1].map((one) => el("option", { value: one }, `${one} %`)))),
    el("button", { class: "primary", id: "publish-go" }, t("versions.go")),
    el("div", { class: "error", id: "publish-error", role: "alert" }));
}

async function publish(event) {
  event.preventDefault();
  at("publish-go").disabled = true;
  at("publish-error").replaceChildren();
  try {
    const done = await api("POST", "/flow-versions", { note: at("publish-note").value.trim(), share: Number(at("publish-share").value) });
    say(t(done.share === 100 ? "versions.done" : "versions.done_share", { version: done.version, percent: done.share }));
    at("publish-note").value = "";
  } catch (refusal) {
    at("publish-error").dataset.code = refusal.code;
    at("publish-error").textContent = because(refusal);
  }
  at("publish-go").disabled = false;
  changed();
}

/** What was wrong with the folder is not told any longer than it is wrong. */
function mended() {
  const told = at("publish-error");
  if (told?.dataset.code === "bad_flows") told.replaceChildren();
}

const stateOf = (one) => (one.live ? "live" : one.share > 0 ? "canary" : one.rolled_back_at ? "back" : "old");

function table(items, state) {
  if (!items.length) return el("p", { class: "muted" }, t("versions.none"));
  const row = (one) => el("tr", { "data-version": one.version }, el("td", { class: "key" }, String(one.version)),
    el("td", {}, el("span", { class: "state", "data-state": stateOf(one) }, t(`versions.${stateOf(one)}`, { percent: one.share ?? 0 }))),
    el("td", {}, moment(one.published_at)), el("td", {}, one.published_by), el("td", {}, one.note || "–"),
    el("td", { class: "n" }, one.calls == null ? "–" : number(one.calls)), el("td", {}, el("div", { class: "buttons" }, buttons(one, state))));
  return el("table", {}, el("thead", {}, el("tr", {}, ["flows.version", "versions.state", "versions.at", "versions.by", "versions.note"].map(head), el("th", { scope: "col", class: "n" }, t("flows.calls")), el("th", {}, el("span", { class: "unseen" }, t("versions.do"))))),
    el("tbody", {}, items.map(row)));
}

function buttons(one, state) {
  const found = [];
  if (state.live && one.version !== state.live.version) found.push(el("a", { class: "button", href: `#diff/${one.version}` }, t("versions.diff")));
  if (!isAdmin) return found;
  const ask = (id, title, text, path, body) => el("button", { type: "button", id: `${id}-${one.version}`,
    onclick: () => confirm(title, text, t(`versions.${id}`), () => api("POST", `/flow-versions/${one.version}/${path}`, body)) }, t(`versions.${id}`));
  const running = { version: one.version, live: state.live?.version ?? "–", calls: number(state.callers) };
  if (one.share > 0 && !one.live) {
    found.push(ask("whole", t("versions.whole_title", running), t("versions.whole_text", running), "share", { percent: 100 }));
    found.push(ask("end", t("versions.end_title", running), t("versions.end_text", running), "share", { percent: 0 }));
  } else if (!one.live) {
    found.push(ask("back_to", t("versions.back_title", running), t("versions.back_text", running), "rollback"));
  }
  return found;
}

// ---- what differs
export const diff = {
  frame: (name) => [el("div", { class: "head" }, el("a", { href: "#versions" }, `← ${t("versions.title")}`), el("h1", { id: "diff-title" }, name)),
    el("div", { id: "diff" })],
  async look(name, state, still) {
    const found = await api("GET", `/flow-versions/${encodeURIComponent(name)}/diff`);
    if (!still()) return;
    at("diff-title").textContent = t("versions.diff_title", { version: found.version, to: found.to });
    draw(at("diff"), found, () => (found.files.length ? found.files.map(file) : el("p", { class: "card muted" }, t("versions.same"))));
  },
  failed: (refusal) => draw(at("diff"), refusal.code, () => el("p", { class: "error" }, because(refusal))),
};

function file(one) {
  const line = (row) => el("li", { "data-sign": row.sign }, el("span", {}, row.old ?? ""), el("span", {}, row.new ?? ""), el("b", {}, row.sign), el("span", {}, row.text));
  return el("section", { class: "card" }, el("h2", {}, `${one.file} · ${t(`versions.${one.change}`)}`),
    one.parts.length ? el("div", { class: "diff", tabindex: "0" }, one.parts.map((part) => el("ol", {}, part.map(line)))) : null);
}
