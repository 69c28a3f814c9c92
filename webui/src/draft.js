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

/** To the server, once; a note without a choice is "other". Throws when it cannot be reached: then it is sent later. */
export async function save(id) {
  clearTimeout(timer);
  since = 0;
  const { code, note = "", saved } = draft(id);
  if (saved || !id || (!code && !note.trim())) return;
  try {
    await api("PUT", `/calls/${id}/disposition`, { code: code ?? "other", note });
  } catch (refusal) {
    if (later(refusal)) throw refusal;
    tell(id, refusal, { code, note });
  }
  const now = draft(id);
  if (now.code === code && (now.note ?? "") === note) put(id, { code, note, saved: true });
}

const later = ({ status }) => status === 0 || status === 401 || status === 408 || status === 429 || status === 503;

const all = () => Object.keys(sessionStorage).filter((name) => name.startsWith("draft:")).map((name) => name.slice(6));

/** What could not be sent when it was written. */
export const saveAll = () => Promise.allSettled(all().map(save));

export function forgetSaved() {
  for (const id of all()) if (draft(id).saved) sessionStorage.removeItem(key(id));
}
