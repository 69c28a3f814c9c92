// Why this agent, why not: the decisions of routing in the reader's language.
import { boot, length, number, plain, t } from "./lib.js";

const levels = (needs) => Object.entries(needs ?? {}).filter(([skill]) => skill !== "any").map(([skill, level]) => `${plain(skill)} ${number(level)}`).join(", ");

/** One line for the agent whose phone rings. Empty: nothing is known of the decision. */
export function whyMe(decision) {
  if (!decision?.rule) return "";
  const id = `whyme.${decision.rule}`;
  const values = { idle: length(decision.idle ?? 0), waited: length(decision.waited ?? 0), count: number(decision.candidates ?? 1), levels: levels(decision.levels) };
  const parts = [t(id in boot.texts ? id : "whyme.other", values)];
  if (decision.rule !== "next_caller" && decision.waited >= 1) parts.push(t("whyme.waited", values));
  if (decision.priority) parts.push(t("whyme.priority", { priority: number(decision.priority) }));
  const needs = levels(decision.needs);
  if (needs) parts.push(t("whyme.level", { needs, levels: values.levels || "–" }));
  return parts.join(" · ");
}

/** One reason why somebody waits or has no call, as a row of the server tells it. */
export function reasonText(row) {
  if (typeof row === "string") return row;
  const id = `whynot.${row.why}`;
  return id in boot.texts ? t(id, shown(row)) : row.text ?? Object.values(row).filter((value) => typeof value !== "object").join(" · ");
}

const SECONDS = /(seconds|waited|idle|wait|_for|after)$/;
/** Values as people read them: names made readable, seconds as a length, levels as words. */
function shown(row) {
  const one = ([key, value]) => {
    if (value && typeof value === "object" && !Array.isArray(value)) return [key, levels(value) || "–"];
    if (Array.isArray(value)) return [key, value.join(", ")];
    if (typeof value === "number") return [key, SECONDS.test(key) ? length(value) : number(value)];
    return [key, key === "queue" || key === "skill" ? plain(value) : value ?? "–"];
  };
  return Object.fromEntries(Object.entries(row).map(one));
}
