// What both pages share: texts, elements, times, requests. Everything shown is text, never HTML.

export const boot = JSON.parse(document.getElementById("boot").textContent);
const locale = boot.locale;

export function t(id, values = {}) {
  const text = boot.texts[id] ?? id;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** A text if the catalogue has one for this value, else the value itself. */
export function named(prefix, value) {
  return boot.texts[`${prefix}.${value}`] ?? String(value ?? "");
}

/** A reason by its own name when the site made it up. */
export const reasonName = (reason) => boot.texts[`reason.${reason}`] ?? plain(reason);

/** A length of time in words: 45 s, 15 min, 1 h 30 min. */
export function length(seconds) {
  const s = Math.round(seconds);
  if (s < 60) return t("time.s", { s });
  const minutes = Math.round(s / 60);
  if (minutes < 60) return t("time.min", { m: minutes });
  return minutes % 60 ? t("time.hm", { h: Math.floor(minutes / 60), m: minutes % 60 }) : t("time.h", { h: minutes / 60 });
}

/** A name out of a flow file, made readable: night_sales -> Night sales. */
export function plain(name) {
  const words = String(name ?? "").replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toLocaleUpperCase(locale) + words.slice(1);
}

/** Build an element: attributes by name, `on…` as listeners, children as nodes or text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value != null) node.setAttribute(name, value);
  }
  node.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return node;
}

const shapes = {
  ready: "M5 13l5 5L20 6",
  not_ready: "M8 5v14M16 5v14",
  reserved: "M6 17h12l-2-3V10a4 4 0 0 0-8 0v4zM10 20h4",
  talking: "M8 4c-2 0-4 1-4 4 0 6 6 12 12 12 3 0 4-2 4-4l-4-2-2 2c-2 0-6-4-6-6l2-2z",
  wrap_up: "M5 19l1-4L16 5l3 3L9 18zM13 8l3 3",
  logged_out: "M14 5h5v14h-5M4 12h10M8 8l-4 4 4 4",
  warn: "M12 4L3 20h18zM12 10v5M12 17.5v.5",
  crit: "M8 3h8l5 5v8l-5 5H8l-5-5V8zM12 8v5M12 16v.5",
};

export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  const path = document.createElementNS(space, "path");
  const look = { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "2.2",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true" };
  for (const [key, value] of Object.entries(look)) svg.setAttribute(key, value);
  path.setAttribute("d", shapes[name] ?? shapes.logged_out);
  svg.append(path);
  return svg;
}

const drawn = new WeakMap();
/** Redraw a place only when what it shows changed, so that what is typed stays. The focus goes to the new element of the
 * same id; when there is none, to `home` if that is given. */
export function draw(place, key, build, home = "") {
  const text = JSON.stringify(key);
  if (drawn.get(place) === text) return;
  drawn.set(place, text);
  const focus = place.contains(document.activeElement) ? document.activeElement : null;
  place.replaceChildren(...[build()].flat().filter(Boolean));
  if (!focus) return;
  const next = (focus.id && document.getElementById(focus.id)) || (home && place.querySelector(home));
  if (next) next.focus({ preventScroll: true });
}

// ---- time: the server's clock, the site's zone
let ahead = 0;
let newest = 0;
/** What was said earlier and is told only now does not set the clock back. */
export function setServerTime(at) {
  const said = Date.parse(at);
  if (said < newest) return;
  newest = said;
  ahead = said - Date.now();
}
export const now = () => Date.now() + ahead;

export function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  const pad = (n) => String(n).padStart(2, "0");
  const clock = `${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}`;
  return s >= 3600 ? `${Math.floor(s / 3600)}:${clock}` : clock;
}

const timeOnly = new Intl.DateTimeFormat(locale, { timeStyle: "short", hourCycle: "h23", timeZone: boot.time_zone });
const withSeconds = new Intl.DateTimeFormat(locale, { timeStyle: "medium", hourCycle: "h23", timeZone: boot.time_zone });
const dayTime = new Intl.DateTimeFormat(locale, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: boot.time_zone });
const dayOf = new Intl.DateTimeFormat("en-CA", { timeZone: boot.time_zone });
const whole = new Intl.NumberFormat(locale);
const share = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });

export function moment(at) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  return (dayOf.format(date) === dayOf.format(new Date(now())) ? timeOnly : dayTime).format(date);
}
export const clock = (milliseconds) => withSeconds.format(new Date(milliseconds));
export const number = (n) => (n == null ? "–" : whole.format(n));
export const percent = (n) => (n == null ? "–" : share.format(n));

/** A text that counts: up from `since`, or down to `until`. */
export function timer(attributes) {
  const node = el("span", { ...attributes, class: `timer ${attributes.class ?? ""}`, "aria-hidden": "true" });
  tick(node);
  return node;
}
function tick(node) {
  const { since, until } = node.dataset;
  const seconds = since ? (now() - Date.parse(since)) / 1000 : (Date.parse(until) - now()) / 1000;
  const text = until && seconds <= 0 ? t("wrap.over") : duration(seconds);
  const shown = until && seconds > 0 ? t("wrap.left", { time: text }) : text;
  if (node.textContent !== shown) node.textContent = shown;
}
export const tickAll = () => document.querySelectorAll(".timer[data-since], .timer[data-until]").forEach(tick);

// ---- requests
let leaving = false;
/** To the login page, once: a second navigation would abort the first. */
export function toLogin() {
  if (leaving) return;
  leaving = true;
  location.assign("/login");
}

export class Refusal extends Error {
  constructor(status, code, detail, retry, about = {}) {
    super(detail);
    Object.assign(this, { status, code, retry, about });
  }
}

const DEADLINE = 10000; // ms; on a connection that died silently no answer ever comes
export const request = (address, how = {}) => fetch(address, { ...how, signal: AbortSignal.timeout(DEADLINE) });

export async function api(method, path, body) {
  const headers = { "X-CSRF": "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await request(`/api/v1${path}`, { method, headers, body: body && JSON.stringify(body) });
  } catch {
    throw new Refusal(0, "unreachable", "", null);
  }
  if (answer.ok) return answer.status === 204 ? null : answer.json().catch(() => { throw new Refusal(0, "unreachable", "", null); });
  const problem = await answer.json().catch(() => ({}));
  if (answer.status === 401 && path !== "/session") toLogin();
  throw new Refusal(answer.status, problem.code ?? "error", problem.detail ?? "", answer.headers.get("Retry-After"), problem);
}

/** The bar's language choice and log-out, the same on every page. */
export function wireBar() {
  document.getElementById("language").addEventListener("change", async (event) => {
    await api("PATCH", "/me", { language: event.target.value }).catch(() => {});
    location.reload();
  });
  document.getElementById("logout").addEventListener("click", async () => {
    await api("DELETE", "/session").catch(() => {});
    toLogin();
  });
}
