// The line to the server: messages in order, a reconnect that asks for what was missed, and honesty about silence.
import { boot, clock, now, request, setServerTime, t, toLogin } from "./lib.js";

const SILENCE = 11000; // the server gives a sign of life every 5 s
const light = document.getElementById("link");
const banner = document.getElementById("lost-banner");

export function openLink(onMessage, onChange = () => {}) {
  let seq = null;
  let socket = null;
  let heard = 0;
  let lostAt = null;
  let tries = 0;

  function show(live) {
    light.dataset.state = live ? "live" : "lost";
    light.lastElementChild.textContent = t(live ? "app.live" : "app.lost");
    document.body.classList.toggle("lost", !live);
    banner.hidden = live;
    if (!live) banner.textContent = `${t("link.lost", { time: clock(lostAt) })} ${boot.me.agent_id ? t("link.offline_note") : ""}`;
    onChange(live, lostAt);
  }

  function connect() {
    const address = new URL("/ws", location.href);
    address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    if (seq !== null) address.searchParams.set("since", seq);
    const mine = new WebSocket(address);
    socket = mine;
    heard = Date.now();
    mine.onmessage = (event) => {
      if (socket !== mine) return;
      const message = JSON.parse(event.data);
      heard = Date.now();
      setServerTime(message.at);
      seq = message.seq;
      tries = 0;
      if (lostAt !== null || light.dataset.state !== "live") {
        lostAt = null;
        show(true);
      }
      onMessage(message);
    };
    mine.onclose = (event) => lost(mine, event.code);
  }

  function lost(which, code) {
    if (socket !== which) return;
    socket = null;
    if (code === 4401) {
      toLogin();
      return;
    }
    if (lostAt === null) {
      lostAt = now();
      show(false);
    }
    tries += 1;
    setTimeout(again, Math.min(5000, 250 * 2 ** tries) * (0.5 + Math.random() / 2));
  }

  async function again() {
    // A refused upgrade looks like any other failure to a page: ask why.
    const answer = await request("/api/v1/me").catch(() => null);
    if (answer?.status === 401) toLogin();
    else connect();
  }

  setInterval(() => {
    if (socket && Date.now() - heard > SILENCE) {
      const silent = socket;
      silent.close();
      lost(silent, 1006);
    }
  }, 1000);
  window.addEventListener("offline", () => socket && lost(socket, 1006));
  connect();
}
