// What the admin page says to people and asks of them.
import { boot, el, t } from "./lib.js";

const at = (id) => document.getElementById(id);
export const isAdmin = boot.me.role === "admin";
/** Something was changed: what is shown is looked at again. */
export const changed = () => document.dispatchEvent(new Event("changed"));

let noteEnds = 0;
export function say(text) {
  at("note").textContent = text;
  clearTimeout(noteEnds);
  noteEnds = setTimeout(() => at("note").replaceChildren(), 7000);
}

/** Why the server refused: by its code, and its kind if it has one; else in its own words, which are about the flow
 * files and in English. */
export function because({ code, message, about = {} }) {
  const id = [`refused.${code}.${about.kind}`, `refused.${code}`].find((one) => one in boot.texts);
  return id ? t(id, about) : message || t("refused.other");
}

/** Asks before something that callers feel, and does it only on the button that names it. */
export function confirm(title, text, action, act) {
  const dialog = at("ask");
  const go = el("button", { type: "button", class: "primary", id: "ask-go", onclick: async () => {
    dialog.close();
    await act().then(() => say(t("versions.told")), (refusal) => say(because(refusal)));
    changed();
  } }, action);
  dialog.replaceChildren(el("h2", { id: "ask-title" }, title), el("p", {}, text),
    el("div", { class: "buttons" }, go, el("button", { type: "button", id: "ask-no", onclick: () => dialog.close() }, t("app.cancel"))));
  dialog.showModal();
  at("ask-no").focus();
}
