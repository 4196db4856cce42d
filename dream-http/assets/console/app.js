// The frame of the administration's console: signing in, the header, and which page the address names. It uses the
// same /v1 as every other client and can do what its key can do.
import { address, call, key } from "./api.js";
import * as views from "./pages.js";
import { button, doing, element, say, whenSignedOut } from "./ui.js";
import { language, setLanguage, speak } from "./words.js";

const app = /** @type {HTMLElement} */ (document.getElementById("app"));
const PAGES = /** @type {const} */ (["overview", "users", "orders", "templates", "gallery", "audit"]);

/** @type {(view: string, filter?: object) => void} */
function go(view, filter = {}) {
  const target = address(`#${view}`, filter);
  if (location.hash === target) show();
  else location.hash = target;
}

function signIn() {
  const input = /** @type {HTMLInputElement} */ (element("input", { type: "password", name: "key", autocomplete: "off", required: true, "aria-label": speak("key") }));
  const enter = async (/** @type {Event} */ event) => {
    event.preventDefault();
    say(""); // An earlier refusal no longer applies.
    key.set(input.value.trim());
    if (await doing(() => call("get", "/v1/admin/stats", {}))) show();
  };
  app.replaceChildren(element("div", { class: "card gate" }, element("h1", {}, `Dream · ${speak("console")}`),
    element("form", { onsubmit: enter }, element("label", {}, speak("key"), input), element("p", { class: "soft" }, speak("keyHint")),
      element("div", { class: "tools" }, element("button", { class: "main" }, speak("signIn")), languageButton()))));
  input.focus();
}

function languageButton() {
  return button(language() === "zh-CN" ? "English" : "中文", () => { setLanguage(language() === "zh-CN" ? "en" : "zh-CN"); show(); });
}

function signOut() {
  key.clear();
  show();
}

async function show() {
  document.documentElement.lang = language();
  if (!key.get()) return signIn();
  const [name, query = ""] = location.hash.slice(1).split("?");
  const view = PAGES.find((each) => each === name) ?? "overview";
  const links = PAGES.map((each) => element("a", { href: `#${each}`, "aria-current": each === view ? "page" : null }, speak(each)));
  const place = element("main", {}, element("h1", {}, speak(view)));
  app.replaceChildren(
    element("header", {}, element("b", {}, "Dream"), element("nav", {}, links),
      element("div", { class: "ends" }, languageButton(), button(speak("signOut"), signOut))),
    place);
  await doing(() => views[view](place, Object.fromEntries(new URLSearchParams(query))));
}

views.navigateBy({ go, again: show });
whenSignedOut(signOut);
window.addEventListener("hashchange", show);
show();
