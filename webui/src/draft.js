// What an agent chose and typed about a call. It is kept in this tab until the server has it, and sent while typing:
// the call may be over, or the link gone, before anybody presses a button.
import { api } from "./lib.js";

const PAUSE = 1000; // ms without a key until it is sent,
const LONGEST = 4000; // or since the first key that is not
const key = (id) => `draft:${id}`;
let timer = 0;
let since = 0;
let tell = () => {};

/** `refused(id, refusal, draft)` is called once when the server will not have it. */
export const onRefused = (refused) => { tell = refused; };

export function draft(id) {
  try { return JSON.parse(sessionStorage.getItem(key(id))) ?? {}; } catch { return {}; }
}
const put = (id, what) => sessionStorage.setItem(key(id), JSON.stringify(what));

export function keep(id, code, note) {
  put(id, { code, note });
  clearTimeout(timer);
  since ||= Date.now();
  timer = setTimeout(() => save(id).catch(() => {}), Math.max(0, Math.min(PAUSE, since + LONGEST - Date.now())));
}

const underway = new Map(); // by call, what is being sent: whatever is sent next waits for it

/** To the server, once; a note without a choice is "other". Throws when it cannot be reached: then it is sent later.
 * `last`: it is no draft any more and ends the wrap-up. True when the server has taken it so. */
export function save(id, last = false) {
  const before = underway.get(id)?.catch(() => {});
  if (before && !last) return before.then(() => underway.get(id) ?? save(id));
  const sent = before ? before.then(() => send(id, last)) : send(id, last);
  const over = () => underway.get(id) === sent && underway.delete(id);
  underway.set(id, sent);
  sent.then(over, over);
  return sent;
}

async function send(id, last) {
  clearTimeout(timer);
  since = 0;
  const { code, note = "", saved } = draft(id);
  if ((saved && !last) || !id || (!code && !note.trim())) return false;
  let taken = true;
  try {
    await api("PUT", `/calls/${id}/disposition`, { code: code ?? "other", note, draft: !last });
  } catch (refusal) {
    if (later(refusal)) throw refusal;
    taken = false;
    if (!saved) tell(id, refusal, { code, note });
  }
  const now = draft(id);
  if (now.code === code && (now.note ?? "") === note) put(id, { code, note, saved: true });
  return taken && last;
}

const later = ({ status }) => status === 0 || status === 401 || status === 408 || status === 429 || status === 503;

const all = () => Object.keys(sessionStorage).filter((name) => name.startsWith("draft:")).map((name) => name.slice(6));

/** What could not be sent when it was written. */
export const saveAll = () => Promise.allSettled(all().map((id) => save(id)));

export function forgetSaved() {
  for (const id of all()) if (draft(id).saved) sessionStorage.removeItem(key(id));
}
