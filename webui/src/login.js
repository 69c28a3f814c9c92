import { api, t } from "./lib.js";

const form = document.getElementById("login-form");
const error = document.getElementById("login-error");
const go = document.getElementById("login-go");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  go.disabled = true;
  go.textContent = t("login.busy");
  error.textContent = "";
  try {
    await api("POST", "/session", { username: form.username.value.trim(), password: form.password.value });
    location.assign("/");
    return;
  } catch (refusal) {
    if (refusal.status === 429) error.textContent = t("login.wait", { seconds: refusal.retry });
    else error.textContent = t(refusal.status === 401 || refusal.status === 400 ? "login.wrong" : "login.trouble");
  }
  form.password.value = "";
  form.password.focus();
  go.disabled = false;
  go.textContent = t("login.go");
});
