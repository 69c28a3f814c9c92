// Why this agent, why not: the decisions of routing in the reader's language.
import { boot, clock, length, number, plain, reasonName, t } from "./lib.js";

const names = new Map();

/** The names of agents, for decisions that know their logins. */
export function know(agents) {
  for (const agent of agents) names.set(agent.agent_id, agent.name || agent.agent_id);
}

export const nameOf = (agent) => names.get(agent) ?? agent ?? "";

const plainLevels = (needs) => Object.entries(needs).map(([skill, level]) => `${plain(skill)} ${number(level)}`).join(", ");
const either = (ways) => ways.reduce((one, other) => t("whyme.or", { one, other }));

/** English 3, Sales 1, or Dutch 5: what is needed, alternatives and who is let in besides included. */
function levels(needs) {
  const { any = [], also = [], ...all } = needs ?? {};
  const groups = Array.isArray(any[0]) ? any : any.length ? [any] : [];
  const first = [plainLevels(all), ...groups.map((group) => either(group.map(levels)))].filter(Boolean).join(", ");
  return first && also.length ? either([first, ...also.map(levels)]) : first;
}

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

const at = (time) => clock(Date.parse(time));

/** What a caller who waits is waiting for, in a few words. */
export function callWhy(row) {
  return t(`whycall.${row.why || "free"}`, { count: number(row.signed_on ?? 0), agent: nameOf(row.for), time: row.until ? at(row.until) : "" });
}

/** The same with what is needed now, and what comes next. */
export function callLines(row) {
  const needs = levels(row.needs) || t("whycall.anybody");
  return [
    callWhy(row),
    row.steps > 1 ? t("whycall.needs", { needs, step: number(row.step), steps: number(row.steps - 1) }) : row.steps ? t("whycall.needs_only", { needs }) : null,
    row.next_step_at ? t("whycall.next", { time: at(row.next_step_at) }) : null,
  ].filter(Boolean);
}

/** Why an agent has no call: what he does, or what keeps those who wait from him. */
export function agentLines(row) {
  if (row.why) return [t(`whyagent.${row.why}`, { reason: row.reason ? reasonName(row.reason) : "–" })];
  if (!row.queues.length) return [t("whyagent.nobody_waits")];
  return row.queues.map((queue) => {
    const lacks = queue.lacks.map((one) => t("whyagent.lack", { skill: plain(one.skill), needs: number(one.needs), has: number(one.has) })).join(", ");
    const why = t(`whyagent.queue_${queue.why || "offered"}`, { lacks, agent: nameOf(queue.for), time: queue.until ? at(queue.until) : "" });
    const later = queue.opens_at ? ` ${t("whyagent.opens", { time: at(queue.opens_at) })}` : "";
    return t("whyagent.queue", { queue: plain(queue.queue), count: number(queue.waiting), why }) + later;
  });
}
