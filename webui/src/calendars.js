// Calendars: open or closed now, when they open next, and held open or closed by hand until a time.
import { api, draw, el, moment, now, t } from "./lib.js";
import { because, changed, say } from "./ask.js";

const at = (id) => document.getElementById(id);
const HOURS = [0.5, 1, 2, 4, 8, 24, 168];

export const calendars = {
  frame: () => [el("h1", {}, t("calendars.title")), el("div", { id: "calendars", class: "days" })],
  async look(name, state, still) {
    const { items } = await api("GET", "/calendars");
    if (still()) draw(at("calendars"), items, () => (items.length ? items.map(card) : el("p", { class: "card muted" }, t("calendars.none"))));
  },
  failed: (refusal) => draw(at("calendars"), refusal.code, () => el("p", { class: "error" }, because(refusal))),
};

function card(one) {
  const state = one.forced ?? one.state;
  const lines = [
    one.holiday ? t("calendars.holiday_is", { name: one.holiday }) : null,
    one.forced ? t("calendars.by_hand", { time: moment(one.forced_until) }) : t("calendars.own"),
    one.next_open ? t("calendars.next", { time: one.next_open.replace("T", " ").slice(0, 16), zone: one.time_zone ?? "" }) : null,
  ];
  const hold = el("select", { id: `hold-${one.calendar}` }, HOURS.map((hours) => el("option", { value: hours, selected: hours === 1 }, span(hours))));
  const force = (how) => el("button", { type: "button", id: `${how}-${one.calendar}`, onclick: () => act(`/calendars/${encodeURIComponent(one.calendar)}/force`,
    { state: how, until: new Date(now() + Number(hold.value) * 3600000).toISOString() }) }, t(`calendars.force_${how}`));
  return el("section", { class: "card", "data-calendar": one.calendar },
    el("div", { class: "head" }, el("h2", {}, one.calendar), el("span", { class: "state", "data-state": state }, t(`calendars.${state}`))),
    lines.filter(Boolean).map((line) => el("p", { class: "small" }, line)),
    el("div", { class: "force" }, el("label", {}, t("calendars.for"), hold), el("div", { class: "buttons" }, force("open"), force("closed"),
      one.forced ? el("button", { type: "button", id: `auto-${one.calendar}`, onclick: () => act(`/calendars/${encodeURIComponent(one.calendar)}/auto`) }, t("calendars.auto")) : null)));
}

const span = (hours) => (hours < 1 ? t("calendars.minutes", { n: hours * 60 }) : hours < 24 ? t("calendars.hours", { n: hours }) : t("calendars.days", { n: hours / 24 }));

async function act(path, body) {
  await api("POST", path, body).then(() => say(t("calendars.done")), (refusal) => say(because(refusal)));
  changed();
}
