// Getting the agent's attention (title, sound, notification) and the keyboard shortcuts.
import { el, t } from "./lib.js";

const title = document.title;
let audio = null;
let ringing = null;
let beat = 0;
let note = null;

// Browsers let a page make sound only after the person has touched it.
for (const type of ["pointerdown", "keydown"]) {
  window.addEventListener(type, () => { audio ??= new AudioContext(); audio.resume(); }, { once: true });
}

function chime() {
  if (audio?.state !== "running") return;
  [[660, 0], [880, 0.18]].forEach(([pitch, delay]) => {
    const start = audio.currentTime + delay;
    const tone = new OscillatorNode(audio, { frequency: pitch });
    const volume = new GainNode(audio, { gain: 0 });
    volume.gain.linearRampToValueAtTime(0.12, start + 0.03);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.5);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.55);
  });
}

/** Ring for this caller until called with null. */
export function alertRing(name, callId) {
  document.title = name === null ? title : `☎ ${name} – ${title}`;
  const now = name === null ? null : callId;
  if (now === ringing) return;
  ringing = now;
  clearInterval(beat);
  note?.close();
  note = null;
  if (now === null) return;
  chime();
  beat = setInterval(chime, 2500);
  if (window.Notification?.permission === "granted") {
    note = new Notification(t("notify.title", { name }), { tag: callId, requireInteraction: true, icon: "/static/icon.svg" });
    note.onclick = () => { window.focus(); note?.close(); };
  }
}

/** Alt+Shift+key, by the key's place so that layouts do not matter; never while an input method composes. */
export function wireKeys(actions) {
  const off = document.getElementById("keys-off");
  off.checked = localStorage.getItem("keys-off") === "1";
  off.addEventListener("change", () => localStorage.setItem("keys-off", off.checked ? "1" : "0"));
  document.addEventListener("keydown", (event) => {
    if (off.checked || !event.altKey || !event.shiftKey || event.ctrlKey || event.metaKey) return;
    if (event.isComposing || event.keyCode === 229 || event.repeat || document.getElementById("main").inert) return;
    const digit = /^Digit([1-9])$/.exec(event.code);
    const action = digit ? () => actions.digit(Number(digit[1])) : actions[event.code];
    if (!action) return;
    event.preventDefault();
    action();
  });
  if (window.Notification?.permission === "default") {
    const ask = el("button", { type: "button", class: "ghost", onclick: async () => { await Notification.requestPermission(); ask.remove(); } }, t("notify.ask"));
    document.getElementById("help-close").before(ask);
  }
}
