// The administration's console. Plain JavaScript over the same /v1 that everybody uses: it can do what its key can do.
import { speak, language, setLanguage } from "./words.js";

const KEY = "dream-admin-key";
const app = document.getElementById("app");
const toast = element("div", { class: "said", role: "status" });

// ---- Small helpers ----------------------------------------------------------------------------------------------

/** An element. Texts become text nodes, so nothing that a user wrote is ever read as markup. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child != null));
  return made;
}

function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function say(text, bad = false) {
  toast.textContent = text;
  toast.className = bad ? "said bad" : "said";
  clearTimeout(say.timer);
  say.timer = setTimeout(() => (toast.textContent = ""), bad ? 8000 : 3000);
}

const yuan = (fen) => `¥${(fen / 100).toFixed(2)}`;
const time = (at) => (at ? new Date(at).toLocaleString(language()) : "–");
const path = (base, parameters) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return given.length ? `${base}?${new URLSearchParams(given)}` : base;
};

async function call(method, target, body) {
  const answer = await fetch(target, {
    method,
    headers: {
      "X-Admin-Key": sessionStorage.getItem(KEY) ?? "",
      "Accept-Language": language(),
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  if (answer.status === 401) {
    sessionStorage.removeItem(KEY);
    show();
  }
  const faults = (json.errors ?? []).map((fault) => `${fault.field}: ${fault.message}`).join("; ");
  throw new Error(faults || json.message || `HTTP ${answer.status}`);
}

/** Runs what somebody asked for and says how it went. */
async function doing(work, done) {
  try {
    await work();
    if (done) say(done);
    return true;
  } catch (fault) {
    say(fault.message, true);
    return false;
  }
}

/** Asks for a few fields, then for the deed itself. */
function ask(title, fields, act) {
  const inputs = {};
  const rows = fields.map((field) => {
    const attributes = { name: field.name, required: field.required ?? false };
    const input = field.choices
      ? element("select", attributes, field.choices.map((choice) => element("option", { value: choice }, choice)))
      : element("input", { ...attributes, type: field.type ?? "text", value: field.value ?? "", step: field.step, min: field.min });
    inputs[field.name] = input;
    return element("label", {}, field.label, input);
  });
  const dialog = element("dialog", { "aria-label": title });
  const form = element(
    "form",
    {
      method: "dialog",
      onsubmit: async (event) => {
        event.preventDefault();
        const given = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, input.value.trim()]));
        if (await doing(() => act(given), speak("done"))) {
          dialog.close();
          show();
        }
      },
    },
    element("h2", {}, title),
    rows,
    element(
      "div",
      { class: "ends" },
      element("button", { type: "button", onclick: () => dialog.close() }, speak("cancel")),
      element("button", { class: "main" }, speak("confirm")),
    ),
  );
  dialog.append(form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

const reason = (required = true) => ({ name: "reason", label: speak("reason"), required });

/** A table that grows by a page whenever more is asked for. */
function pages(heads, load, row) {
  const body = element("tbody");
  const more = element("button", { type: "button" }, speak("more"));
  const foot = element("div", { class: "more" }, more);
  const next = async (cursor) => {
    more.disabled = true;
    await doing(async () => {
      const page = await load(cursor);
      body.append(...page.items.map(row));
      if (!body.children.length) body.append(element("tr", {}, element("td", { colspan: heads.length, class: "soft" }, speak("nothing"))));
      foot.hidden = !page.nextCursor;
      more.onclick = () => next(page.nextCursor);
    });
    more.disabled = false;
  };
  next(undefined);
  const head = element("thead", {}, element("tr", {}, heads.map((text) => element("th", {}, text))));
  return [element("div", { class: "scroll" }, element("table", {}, head, body)), foot];
}

const cell = (kind, ...children) => element("td", { class: kind }, ...children);
const button = (text, onclick, kind = "") => element("button", { type: "button", class: kind, onclick }, text);

// ---- Overview ---------------------------------------------------------------------------------------------------

/** The day that a point of the usage is about. Its middle is asked for: a browser in another zone names the same day. */
function day(point, form) {
  return new Date(Date.parse(point.at) + 12 * 3600 * 1000).toLocaleDateString(language(), form);
}

function bars(title, points, value, format) {
  const [width, height] = [640, 140];
  const most = Math.max(1, ...points.map(value));
  const step = width / Math.max(1, points.length);
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, preserveAspectRatio: "none" });
  svg.append(drawing("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }));
  points.forEach((point, at) => {
    const tall = (height * value(point)) / most;
    const bar = drawing("rect", { class: "bar", x: at * step + 1, width: Math.max(1, step - 2), y: height - tall, height: tall });
    bar.append(drawing("title", {}, `${day(point)}: ${format(value(point))}`));
    svg.append(bar);
  });
  // The picture is as wide as its card; words that stood in it would be stretched too.
  const form = { month: "numeric", day: "numeric" };
  const ends = points.length ? [points[0], points.at(-1)].map((point) => element("span", {}, day(point, form))) : [];
  return element("section", { class: "card" },
    element("h2", {}, title), element("p", { class: "scale" }, format(most)), svg, element("p", { class: "scale" }, ends));
}

async function overview(place) {
  const to = new Date();
  const from = new Date(to.getTime() - 29 * 86_400_000);
  const [stats, usage] = await Promise.all([
    call("GET", "/v1/admin/stats"),
    call("GET", path("/v1/stats/usage", { from: from.toISOString(), to: to.toISOString(), bucket: "day" })),
  ]);
  const figures = [
    ["totalUsers", stats.totalUsers], ["vipUsers", stats.vipUsers], ["todayNewUsers", stats.todayNewUsers],
    ["totalOrders", stats.totalOrders], ["pendingOrders", stats.pendingOrders], ["todayRevenue", yuan(stats.todayRevenue)],
    ["runningJobs", stats.runningJobs],
  ];
  const plain = (number) => String(Math.round(number));
  const rate = (day) => (day.succeeded + day.failed ? (100 * day.succeeded) / (day.succeeded + day.failed) : 0);
  place.append(
    element("div", { class: "cards" }, figures.map(([name, figure]) =>
      element("div", { class: "card" }, element("div", { class: "soft" }, speak(name)), element("div", { class: "figure", "data-figure": name }, String(figure))))),
    element("div", { class: "charts" },
      bars(speak("newUsers"), usage.buckets, (day) => day.newUsers, plain),
      bars(speak("activeUsers"), usage.buckets, (day) => day.activeUsers, plain),
      bars(speak("generations"), usage.buckets, (day) => day.generations, plain),
      bars(speak("successRate"), usage.buckets, rate, (number) => `${number.toFixed(0)}%`),
      bars(speak("revenue"), usage.buckets, (day) => day.revenue, yuan)),
  );
}

// ---- Users ------------------------------------------------------------------------------------------------------

function users(place, filter) {
  const search = element("input", { type: "search", name: "search", placeholder: speak("searchUsers"), value: filter.search ?? "" });
  const level = element("select", { name: "vipLevel", "aria-label": speak("level") },
    ["", "NORMAL", "VIP", "SVIP"].map((name) => element("option", { value: name, selected: name === (filter.vipLevel ?? "") }, name || speak("everyLevel"))));
  place.append(element("form", { class: "tools", onsubmit: (event) => { event.preventDefault(); go("users", { search: search.value.trim(), vipLevel: level.value }); } },
    search, level, element("button", { class: "main" }, speak("search"))));
  const load = async (cursor) => {
    const page = await call("GET", path("/v1/admin/users", { ...filter, cursor, limit: 50 }));
    return { items: page.users, nextCursor: page.nextCursor };
  };
  const row = (user) => element("tr", {},
    cell("id", String(user.id)),
    cell("text", user.nickName ?? "–", element("div", { class: "soft" }, user.phone ?? "")),
    cell("", user.vipLevel, element("div", { class: "soft" }, user.vipExpireAt ? time(user.vipExpireAt) : "")),
    cell("number", String(user.pointsBalance)),
    cell("time", time(user.createdAt)),
    cell("doing",
      button(speak("level"), () => ask(`${speak("level")} · ${user.id}`, [
        { name: "vipLevel", label: speak("level"), choices: ["VIP", "SVIP"] },
        { name: "days", label: speak("days"), type: "number", min: 1, value: 30, required: true }],
        (given) => call("PUT", `/v1/admin/users/${user.id}/vip`, { vipLevel: given.vipLevel, days: Number(given.days) }))),
      user.vipLevel === "NORMAL" ? null : button(speak("endLevel"), () => ask(`${speak("endLevel")} · ${user.id}`, [], () => call("DELETE", `/v1/admin/users/${user.id}/vip`))),
      button(speak("points"), () => ask(`${speak("points")} · ${user.id}`, [
        { name: "pointsBalance", label: speak("newBalance"), type: "number", min: 0, value: user.pointsBalance, required: true }, reason()],
        (given) => call("PUT", `/v1/admin/users/${user.id}`, { pointsBalance: Number(given.pointsBalance), reason: given.reason }))),
      button(speak("orders"), () => go("orders", { userId: user.id })),
      button(speak("delete"), () => ask(`${speak("deleteUser")} ${user.id}?`, [], () => call("DELETE", `/v1/admin/users/${user.id}`)), "bad")));
  place.append(...pages(["#", speak("name"), speak("level"), speak("points"), speak("since"), ""], load, row));
}

// ---- Orders -----------------------------------------------------------------------------------------------------

function orders(place, filter) {
  const choose = (name, label, words) => element("select", { name, "aria-label": label, onchange: (event) => go("orders", { ...filter, [name]: event.target.value }) },
    ["", ...words].map((word) => element("option", { value: word, selected: word === (filter[name] ?? "") }, word || label)));
  place.append(element("div", { class: "tools" },
    choose("status", speak("everyState"), ["PENDING", "PAID", "CANCELLED", "REFUNDED"]),
    choose("kind", speak("everyKind"), ["VIP", "POINTS"]),
    filter.userId ? button(`${speak("user")} ${filter.userId} ×`, () => go("orders", { ...filter, userId: "" })) : null));
  const load = (cursor) => call("GET", path("/v1/admin/orders", { ...filter, cursor, limit: 50 }));
  const state = { PAID: "good", REFUNDED: "warn", CANCELLED: "soft" };
  const row = (order) => element("tr", {},
    cell("id", order.orderId, element("div", { class: "soft" }, order.transactionId ?? "")),
    cell("", String(order.userId)),
    cell("", order.planName ?? `${order.points} ${speak("points")}`),
    cell("number", yuan(order.amount)),
    cell(state[order.status] ?? "", order.status),
    cell("time", time(order.paidAt ?? order.createdAt)),
    cell("doing", order.status === "PAID" ? button(speak("refund"), () => ask(`${speak("refund")} · ${order.orderId}`, [
      { name: "yuan", label: speak("refundYuan"), type: "number", step: "0.01", min: "0.01" }, reason()],
      (given) => call("POST", `/v1/admin/orders/${order.orderId}/refund`,
        { ...(given.yuan ? { amount: Math.round(Number(given.yuan) * 100) } : {}), reason: given.reason })), "bad") : null));
  place.append(...pages([speak("order"), speak("user"), speak("what"), speak("amount"), speak("state"), speak("at"), ""], load, row));
}

// ---- Templates, gallery, audit log ------------------------------------------------------------------------------

async function templates(place) {
  const { templates: all } = await call("GET", "/v1/templates/prompts");
  const edit = (template) => {
    const fields = [
      { name: "templateId", label: "ID", required: true, value: template?.templateId },
      { name: "title", label: speak("title"), required: true, value: template?.title },
      { name: "prompt", label: speak("prompt"), required: true, value: template?.prompt },
      { name: "category", label: speak("category"), required: true, value: template?.category },
    ];
    ask(template ? speak("edit") : speak("newTemplate"), template ? fields.slice(1) : fields, (given) =>
      template ? call("PUT", `/v1/templates/prompts/${template.templateId}`, given) : call("POST", "/v1/templates/prompts", given));
  };
  place.append(element("div", { class: "tools" }, button(speak("newTemplate"), () => edit(undefined), "main")));
  const rows = all.map((template) => element("tr", {},
    cell("", template.thumbnailUrl ? element("img", { src: template.thumbnailUrl, alt: "", width: 48, height: 48, loading: "lazy" }) : "–"),
    cell("id", template.templateId),
    cell("text", template.title, element("div", { class: "soft" }, template.prompt)),
    cell("", template.category),
    cell("number", String(template.usageCount)),
    cell("doing", button(speak("edit"), () => edit(template)),
      button(speak("delete"), () => ask(`${speak("delete")} ${template.templateId}?`, [], () => call("DELETE", `/v1/templates/prompts/${template.templateId}`)), "bad"))));
  const head = ["", "ID", speak("title"), speak("category"), speak("used"), ""].map((text) => element("th", {}, text));
  place.append(element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows))));
}

function gallery(place, filter) {
  const status = filter.status || "PENDING";
  place.append(element("div", { class: "tools" }, ["PENDING", "PUBLIC", "REJECTED", "REMOVED"].map((name) =>
    button(speak(name), () => go("gallery", { status: name }), name === status ? "main" : ""))));
  const tiles = element("div", { class: "tiles" });
  const foot = element("div", { class: "more" });
  const deed = (image, verb, kind) => button(speak(verb), () => ask(`${speak(verb)} · ${image.id}`, [reason()],
    (given) => call("POST", `/v1/admin/gallery/${image.id}/${verb}`, given)), kind);
  const next = (cursor) => doing(async () => {
    const page = await call("GET", path("/v1/admin/gallery", { status, cursor, limit: 40 }));
    tiles.append(...page.items.map((image) => element("article", { class: "card tile" },
      element("a", { href: image.imageUrl, target: "_blank", rel: "noopener noreferrer" }, element("img", { src: image.thumbnailUrl, alt: image.prompt, loading: "lazy" })),
      element("p", {}, image.prompt),
      element("p", { class: "soft" }, `#${image.id} · ${image.categoryId} · ♥ ${image.likes} · ${time(image.createdAt)}`),
      element("div", { class: "tools" },
        status === "PENDING" || status === "REJECTED" ? deed(image, "approve", "main") : null,
        status === "PENDING" ? deed(image, "reject", "bad") : null,
        status === "REMOVED" ? null : deed(image, "remove", "bad")))));
    if (!tiles.children.length) tiles.append(element("p", { class: "soft" }, speak("nothing")));
    foot.replaceChildren(...(page.nextCursor ? [button(speak("more"), () => next(page.nextCursor))] : []));
  });
  next(undefined);
  place.append(tiles, foot);
}

function auditLog(place, filter) {
  const target = element("input", { type: "search", name: "target", placeholder: "user:1", value: filter.target ?? "" });
  place.append(element("form", { class: "tools", onsubmit: (event) => { event.preventDefault(); go("audit", { target: target.value.trim() }); } },
    target, element("button", { class: "main" }, speak("search"))));
  const load = (cursor) => call("GET", path("/v1/admin/audit-log", { ...filter, cursor, limit: 50 }));
  const change = (value) => (value == null ? "" : element("pre", {}, JSON.stringify(value, null, 1)));
  const row = (entry) => element("tr", {},
    cell("time", time(entry.at)), cell("", entry.actor), cell("id", entry.action), cell("id", entry.target),
    cell("text", change(entry.before)), cell("text", change(entry.after)), cell("text", entry.reason ?? ""));
  place.append(...pages([speak("at"), speak("who"), speak("action"), speak("target"), speak("before"), speak("after"), speak("reason")], load, row));
}

// ---- The frame --------------------------------------------------------------------------------------------------

const VIEWS = { overview, users, orders, templates, gallery, audit: auditLog };

function go(view, parameters = {}) {
  const target = path(`#${view}`, parameters);
  if (location.hash === target) show();
  else location.hash = target;
}

function signIn() {
  const input = element("input", { type: "password", name: "key", autocomplete: "off", required: true, "aria-label": speak("key") });
  app.replaceChildren(element("div", { class: "card gate" }, element("h1", {}, `Dream · ${speak("console")}`),
    element("form", {
      onsubmit: async (event) => {
        event.preventDefault();
        say(""); // What is still said of an earlier try.
        sessionStorage.setItem(KEY, input.value.trim());
        if (await doing(() => call("GET", "/v1/admin/stats"))) show();
      },
    }, element("label", {}, speak("key"), input), element("p", { class: "soft" }, speak("keyHint")),
      element("div", { class: "tools" }, element("button", { class: "main" }, speak("signIn")), languageButton()))));
  input.focus();
}

function languageButton() {
  return button(language() === "zh-CN" ? "English" : "中文", () => { setLanguage(language() === "zh-CN" ? "en" : "zh-CN"); show(); });
}

async function show() {
  document.documentElement.lang = language();
  if (!sessionStorage.getItem(KEY)) return signIn();
  const [name, query = ""] = location.hash.slice(1).split("?");
  const view = Object.hasOwn(VIEWS, name) ? name : "overview";
  const links = Object.keys(VIEWS).map((each) => element("a", { href: `#${each}`, "aria-current": each === view ? "page" : null }, speak(each)));
  const place = element("main", {}, element("h1", {}, speak(view)));
  app.replaceChildren(
    element("header", {}, element("b", {}, "Dream"), element("nav", {}, links), languageButton(),
      button(speak("signOut"), () => { sessionStorage.removeItem(KEY); show(); })),
    place);
  await doing(() => VIEWS[view](place, Object.fromEntries(new URLSearchParams(query))));
}

document.body.append(toast);
window.addEventListener("hashchange", show);
show();
