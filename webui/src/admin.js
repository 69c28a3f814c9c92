// The admin page: which part is shown, kept fresh while somebody looks, and what is wrong with the folder above all.
import { api, draw, el, icon, moment, setServerTime, t, tickAll, wireBar } from "./lib.js";
import { openLink } from "./link.js";
import { calendars } from "./calendars.js";
import { flow, flows } from "./flows.js";
import { diff, versions } from "./versions.js";

const at = (id) => document.getElementById(id);
const FRESH = 2000; // ms between two looks, while the page is visible
const parts = { flows, flow, versions, diff, calendars };
const tabOf = { flow: "flows", diff: "versions" };
let shown = null; // {part, place, name}
let round = 0;

/** #flow/main -> ["flow", "main"] */
function wanted() {
  const [part, name = ""] = location.hash.slice(1).split("/");
  return parts[part] ? [part, decodeURIComponent(name)] : ["flows", ""];
}

function open() {
  const [part, name] = wanted();
  shown = { part: parts[part], place: el("div", { class: "part" }), name };
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.dataset.tab === (tabOf[part] ?? part)) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  at("view").replaceChildren(...shown.part.frame(name));
  refresh();
}

/** One look; the next one comes when this one is over, and only while somebody looks. */
async function refresh() {
  const mine = ++round;
  const view = shown;
  try {
    const state = await api("GET", "/flows");
    if (mine !== round) return;
    draw(at("folder"), [state.problems, state.folder_changed, state.auto_publish, state.live?.version], () => folder(state));
    await view.part.look(view.name, state, () => mine === round);
  } catch (refusal) {
    if (mine === round) view.part.failed?.(refusal);
  }
  if (mine === round) setTimeout(() => mine === round && document.visibilityState === "visible" && refresh(), FRESH);
}
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && refresh());

function folder(state) {
  if (state.problems.length) {
    return el("section", { class: "card bad", role: "alert", id: "problems" }, el("h2", {}, icon("crit"), state.live
      ? t("flows.broken", { version: state.live.version }) : t("flows.broken_none")),
      state.problems_at ? el("p", { class: "small" }, t("flows.broken_since", { time: moment(state.problems_at) })) : null,
      el("ul", { class: "faults", tabindex: "0" }, state.problems.map((problem) => el("li", {}, problem.text))));
  }
  if (state.folder_changed && !state.auto_publish && state.live) {
    return el("section", { class: "card told" }, el("h2", {}, icon("warn"), t("flows.changed")));
  }
  return null;
}

window.addEventListener("hashchange", open);
document.addEventListener("changed", refresh);
wireBar();
openLink(({ at: said }) => setServerTime(said));
setInterval(tickAll, 1000);
open();
