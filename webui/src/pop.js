// The screen-pop: who calls, why, and what was before. Nothing, one or many customers fit the number.
import { draw, el, icon, moment, named, plain, t } from "./lib.js";

const nameOf = (customer) => customer.display_name ?? customer.name ?? "";
const idOf = (customer) => String(customer.customer_id ?? customer.id ?? "");
const store = (pop) => `customer:${pop.call.call_id}`;

/** The customer to show: the only one, or the one the agent chose; null when none or not yet chosen. */
function chosen(pop) {
  if (pop.customers.length === 1) return pop.customers[0];
  const id = sessionStorage.getItem(store(pop));
  return pop.customers.find((customer) => idOf(customer) === id) ?? null;
}

/** The customer's number: of who calls, or who is called. */
export const theirs = (call) => (call.direction === "outbound" ? call.called_national || call.called : call.caller_national || call.caller);

/** The name to show for a caller, in one line. */
export function whoIs(pop) {
  if (!pop) return t("pop.none");
  const customer = chosen(pop);
  return (customer && nameOf(customer)) || pop.call.caller_name || theirs(pop.call) || t("call.withheld");
}

export function drawPop(place, pop) {
  draw(place, [pop, pop && sessionStorage.getItem(store(pop))], () => (pop ? card(place, pop) : nothing()));
}

function nothing() {
  return el("div", { class: "empty" }, icon("talking"), el("p", {}, t("pop.empty")));
}

function card(place, pop) {
  const customer = chosen(pop);
  if (!customer && pop.customers.length > 1) return choices(place, pop);
  const id = customer && idOf(customer);
  const mine = (row) => row.customer_id == null || !customer || String(row.customer_id) === id;
  return [
    customer ? person(place, pop, customer) : stranger(pop),
    block(t("pop.cases"), pop.cases.filter(mine), caseRow, t("pop.cases_none")),
    block(t("pop.history"), pop.history.filter(mine), callRow, t("pop.history_none")),
  ];
}

function stranger(pop) {
  return el("div", {}, el("p", { class: "name" }, t("pop.none")), el("p", { class: "muted" }, theirs(pop.call) ? t("pop.none_hint") : t("call.withheld")));
}

function person(place, pop, customer) {
  const { tier, language, company, email } = customer;
  const tag = (text, look = "") => el("span", { class: `tag ${look}` }, text);
  const others = pop.customers.length > 1;
  return el("div", {},
    el("p", { class: "name", lang: language }, nameOf(customer)),
    company ? el("p", { class: "muted" }, company) : null,
    el("div", { class: "tags" },
      ["flow", "pin"].includes(pop.call.identified_by) ? tag(t(`pop.by_${pop.call.identified_by}`)) : null,
      tier && tier !== "standard" ? tag(named("tier", tier), tier === "vip" ? "vip" : "") : null,
      language ? tag(t("pop.speaks", { language: languageName(language) })) : null,
      email ? tag(email) : null),
    others ? el("button", { type: "button", class: "ghost", onclick: () => choose(place, pop, null) }, t("pop.other")) : null);
}

function languageName(code) {
  try {
    return new Intl.DisplayNames(document.documentElement.lang, { type: "language" }).of(code);
  } catch {
    return code;
  }
}

function choices(place, pop) {
  const button = (customer) => el("button", { type: "button", class: "choice", onclick: () => choose(place, pop, customer) },
    el("span", { lang: customer.language }, nameOf(customer)),
    customer.tier && customer.tier !== "standard" ? el("span", { class: "tag vip" }, named("tier", customer.tier)) : null);
  return [el("p", {}, el("b", {}, t("pop.many", { count: pop.customers.length }))), el("div", { class: "choices", id: "choices" }, pop.customers.map(button))];
}

function choose(place, pop, customer) {
  if (customer) sessionStorage.setItem(store(pop), idOf(customer));
  else sessionStorage.removeItem(store(pop));
  drawPop(place, pop);
  place.querySelector("button, .name")?.focus?.();
}

function block(title, rows, draw_row, none) {
  return el("div", {}, el("h3", {}, title), rows.length ? el("ul", { class: "rows" }, rows.map(draw_row)) : el("p", { class: "muted small" }, none));
}

function callRow(call) {
  const how = call.disposition ? named("disposition", call.disposition) : call.outcome ? named("outcome", call.outcome) : "";
  return el("li", {},
    el("span", { class: "muted num" }, moment(call.started_at ?? call.at)),
    el("span", { class: "main" }, [call.queue && plain(call.queue), call.agent_name ?? call.agent].filter(Boolean).join(" · ") || "–"),
    el("span", {}, how),
    call.note ? el("span", { class: "wide" }, call.note) : null);
}

function caseRow(item) {
  return el("li", {},
    el("span", { class: "muted num" }, moment(item.created_at ?? item.opened_at)),
    el("span", { class: "main" }, item.title ?? item.subject ?? ""),
    el("span", { class: "muted" }, item.owner_name ?? item.owner ?? ""));
}
