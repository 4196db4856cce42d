// The sandbox's control page. Everything it shows and does goes through /api of its own port.
import { language, setLanguage, speak } from "./words.js";

const PAUSE = 1500;
const SHOWN = 50;

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

const said = element("div", { class: "said", role: "status" });

function say(text, bad = false) {
  said.textContent = text;
  said.classList.toggle("bad", bad);
  clearTimeout(say.timer);
  say.timer = setTimeout(() => { said.textContent = ""; }, 4000);
}

async function call(method, path, body) {
  const headers = method === "GET" ? {} : { "Content-Type": "application/json", "X-Dream-Sandbox": "1" };
  const answer = await fetch(`api/${path}`, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const json = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(json?.message ?? json?.error ?? `HTTP ${answer.status}`);
  return json;
}

/** Does what a button says, tells how it went, and looks again. */
const doing = (work) => async () => {
  try {
    await work();
    say(speak("done"));
  } catch (fault) {
    say(fault.message, true);
  }
  await look();
};

const button = (word, work, kind = "") => element("button", { type: "button", class: kind, onclick: doing(work) }, speak(word));
const cell = (kind, ...children) => element("td", { class: kind }, ...children);
const time = (at) => (at ? new Date(typeof at === "number" ? at * 1000 : at).toLocaleTimeString(language()) : "");
const yuan = (fen) => (fen / 100).toFixed(2);
const nothing = () => element("p", { class: "soft" }, speak("none"));

function table(heads, rows) {
  if (!rows.length) return nothing();
  const head = element("tr", {}, heads.map((text) => element("th", {}, text)));
  const named = heads.some(Boolean) ? [element("thead", {}, head)] : [];
  return element("div", { class: "scroll" }, element("table", {}, named, element("tbody", {}, rows)));
}

function users(all) {
  const rows = all
    .filter((user) => user.logins > 0)
    .sort((one, other) => other.lastLogin - one.lastLogin)
    .map((user) => element("tr", {}, cell("id", user.openid), cell("number", user.logins), cell("time", time(user.lastLogin))));
  return table(["openid", speak("logins"), speak("last")], rows);
}

function orders({ orders }) {
  const rows = orders.slice().reverse().map((order) => {
    const number = { outTradeNo: order.outTradeNo };
    const paid = ["SUCCESS", "REFUND"].includes(order.state);
    return element("tr", { "data-order": order.outTradeNo },
      cell("id", order.outTradeNo),
      cell("", order.description),
      cell("number", yuan(order.amountFen)),
      cell(paid ? "good" : order.state === "CLOSED" ? "bad" : "warn", speak(order.state)),
      cell("doing",
        order.state === "NOTPAY" ? button("pay", () => call("POST", "pay/pay", number), "main") : null,
        order.state === "NOTPAY" ? button("fail", () => call("POST", "pay/close", number), "bad") : null,
        paid ? button("refund", () => call("POST", "pay/refund", number)) : null,
        paid ? button("again", () => call("POST", "pay/pay-again", number)) : null));
  });
  return [table([speak("order"), speak("what"), speak("yuan"), speak("state"), ""], rows), element("p", { class: "soft" }, speak("handRefund"))];
}

function refunds(all) {
  const rows = all.slice().reverse().map((refund) => {
    const end = (outcome) => () => call("POST", "pay/refunds/conclude", { outRefundNo: refund.outRefundNo, outcome });
    const open = refund.status === "PROCESSING";
    return element("tr", {},
      cell("id", refund.outRefundNo),
      cell("number", yuan(refund.amountFen)),
      cell(open ? "warn" : refund.status === "SUCCESS" ? "good" : "bad", refund.status === "SUCCESS" ? speak("succeed") : speak(refund.status)),
      cell("doing", ...(open ? [button("succeed", end("SUCCESS")), button("close", end("CLOSED"), "bad"), button("stuck", end("ABNORMAL"))] : [])));
  });
  return table([speak("refund"), speak("yuan"), speak("state"), ""], rows);
}

const next = (operation, fault) => ({ operation, when: "next", count: 1, fault });
const always = (fault) => ({ operation: "*", when: "always", fault });

function trouble({ pay, images }) {
  const rules = [...pay, ...images].map((rule) => {
    const what = rule.fault.kind === "special" ? rule.fault.name : rule.fault.kind;
    const detail = rule.fault.ms ? ` ${rule.fault.ms} ms` : rule.fault.status ? ` ${rule.fault.status}` : "";
    return element("tr", {}, cell("id", rule.operation), cell("", `${what}${detail}`), cell("", rule.when === "always" ? speak("always") : `${speak("next")} ${rule.count ?? 1}`));
  });
  const well = async () => { await call("DELETE", "pay/faults"); await call("DELETE", "images/faults"); };
  return [
    element("div", { class: "switches" },
      button("lose", () => call("POST", "pay/faults", next("payment_notify", { kind: "special", name: "lose_all" }))),
      button("double", () => call("POST", "pay/faults", next("payment_notify", { kind: "special", name: "double" }))),
      button("slow", () => call("POST", "images/faults", always({ kind: "delay", ms: 5000 }))),
      button("broken", () => call("POST", "images/faults", always({ kind: "status", status: 500, body: "{}" })), "bad"),
      button("clear", well, "main")),
    rules.length ? table(["", "", ""], rules) : element("p", { class: "good" }, speak("well")),
  ];
}

function attempts({ attempts, notices }) {
  const rows = attempts.slice(-SHOWN).reverse().map((attempt) => {
    const notice = notices.find((one) => one.number === attempt.notice);
    return element("tr", {},
      cell("time", time(attempt.at)),
      cell("", notice?.event ?? attempt.notice),
      cell("id", notice?.content?.out_trade_no ?? ""),
      cell(attempt.trouble ? "warn" : "", attempt.trouble ?? ""),
      cell([200, 204].includes(attempt.status) ? "good" : "bad", attempt.status ?? speak("lost")));
  });
  return table([speak("at"), speak("notice"), speak("order"), "", speak("answer")], rows);
}

/** The five lines that are signed, each with its name. */
function explained(signature) {
  const names = ["method", "target", "timestamp", "nonce", "body"];
  const lines = signature.message.map((line, at) =>
    element("li", {}, element("span", { class: "soft" }, `${speak(names[at])} `), element("pre", {}, line === "" ? speak("empty") : line)));
  const facts = ["mchid", "serial", "signature"].filter((name) => signature[name]).flatMap((name) =>
    [element("dt", {}, speak(name)), element("dd", {}, element("code", {}, signature[name]))]);
  return [
    element("p", { class: signature.verified ? "good" : "bad" }, signature.verified ? speak("verified") : `${speak("refused")}: ${signature.why}`),
    element("p", { class: "soft" }, speak("signed")),
    element("ol", {}, lines),
    element("dl", {}, facts),
  ];
}

const opened = new Set();

function folded(request, target, mark, content) {
  const key = `${request.at} ${request.method} ${target}`;
  const made = element("details", { open: opened.has(key) },
    element("summary", {},
      element("span", { class: "soft" }, time(request.at)),
      element("code", { class: "path" }, `${request.method} ${target}`),
      mark,
      element("span", { class: request.status < 400 ? "good" : "bad" }, String(request.status ?? speak("lost")))),
    element("div", {}, content));
  made.addEventListener("toggle", () => (made.open ? opened.add(key) : opened.delete(key)));
  return made;
}

const listed = (all, row) => (all.length ? element("div", { class: "scroll" }, all.slice(-SHOWN).reverse().map(row)) : nothing());

const payRequests = (all) => listed(all, (request) => folded(request, request.target,
  element("span", { class: request.signature.verified ? "good" : "bad" }, request.signature.verified ? speak("verified") : speak("refused")),
  [explained(request.signature), request.note ? element("p", { class: "soft" }, request.note) : null].flat()));

const plainRequests = (all) => listed(all, (request) => folded(request, request.query ? `${request.path}?${request.query}` : request.path, null,
  [element("pre", {}, request.body || speak("empty")), request.note ? element("p", { class: "soft" }, request.note) : null]));

// ---- The page -----------------------------------------------------------------------------------------------------

const last = `requests?last=${SHOWN}`;
const ask = (path) => call("GET", path);
const SECTIONS = [
  ["users", () => ask("wechat/users"), users],
  ["trouble", async () => ({ pay: await ask("pay/faults"), images: await ask("images/faults") }), trouble],
  ["orders", async () => ({ orders: await ask("pay/orders") }), orders],
  ["refunds", () => ask("pay/refunds"), refunds],
  ["notifies", async () => ({ attempts: await ask("pay/attempts"), notices: await ask("pay/notices") }), attempts],
  ["WeChatPay", () => ask("pay/signatures"), payRequests],
  ["WeChat", () => ask(`wechat/${last}`), plainRequests],
  ["images", () => ask(`images/${last}`), plainRequests],
];
const ASKED = ["WeChatPay", "WeChat", "images"];
const places = new Map();

/** Looks at everything, and draws what has changed since. */
async function look() {
  await Promise.all(SECTIONS.map(async ([name, load, draw]) => {
    const place = places.get(name);
    const found = await load();
    const text = JSON.stringify(found);
    if (place.text === text) return;
    place.text = text;
    place.body.replaceChildren(...[draw(found)].flat());
  }));
}

function show() {
  document.documentElement.lang = language();
  document.title = speak("sandbox");
  places.clear();
  const section = (name) => {
    const body = element("div");
    places.set(name, { body, text: undefined });
    const head = ASKED.includes(name) ? `${speak("requests")}: ${speak(name)}` : speak(name);
    return element("section", { "aria-label": head }, element("h2", {}, head), body);
  };
  const [who, wrong, ...rest] = SECTIONS.map(([name]) => section(name));
  const other = language() === "en" ? "zh-CN" : "en";
  const turn = () => { setLanguage(other); show(); };
  document.querySelector("#app").replaceChildren(
    element("header", {}, element("b", {}, speak("sandbox")), element("button", { type: "button", onclick: turn }, other === "en" ? "English" : "中文")),
    element("main", {}, element("p", { class: "soft" }, speak("hint")), element("div", { class: "sides" }, who, wrong), ...rest),
    said,
  );
  look().catch((fault) => say(fault.message, true));
}

async function keepLooking() {
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, PAUSE); });
    // The sandbox may have ended.
    await look().catch((fault) => say(fault.message, true));
  }
}

show();
keepLooking();
