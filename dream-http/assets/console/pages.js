// The pages of the console. Each is a function of the place it fills and of the filter in the address.
import { call } from "./api.js";
import { ask, button, cell, consequence, doing, drawing, element, facts, fenOf, growingTable, pages, table, time, yuan } from "./ui.js";
import { language, speak, word } from "./words.js";

/** @import { Field, Schema } from "dream-api" */
/** @typedef {Record<string, string>} Filter */

const LEVELS = /** @type {const} */ (["NORMAL", "VIP", "SVIP"]);
const ORDER_STATES = /** @type {const} */ (["PENDING", "PAID", "CANCELLED", "REFUNDED"]);
const ORDER_KINDS = /** @type {const} */ (["VIP", "POINTS"]);
const IMAGE_STATES = /** @type {const} */ (["PENDING", "PUBLIC", "REJECTED", "REMOVED"]);
const PAGE = 50;

/**
 * The value, if it is one of these: an address may hold anything.
 * @template {string} T
 * @param {readonly T[]} values
 * @param {string | undefined} value
 */
const known = (values, value) => values.find((each) => each === value);

/** @type {(view: string, filter?: object) => void} */
let go = () => {};
/** @type {() => void} */
let again = () => {};
/** @param {{ go: typeof go, again: typeof again }} frame */
export function navigateBy(frame) {
  ({ go, again } = frame);
}

/** @type {(question: Parameters<typeof ask>[0]) => void} */
const question = (asked) => ask(asked, () => again());

/** @type {(more?: Partial<Field>) => Field} */
const reason = (more = {}) => ({ name: "reason", label: speak("reason"), required: true, ...more });

// ---- Overview ---------------------------------------------------------------------------------------------------

/** @typedef {Schema<"UsageBucket">} Bucket */

/**
 * The day of the business's zone, whatever the zone of this browser.
 * @param {Bucket} bucket
 * @param {Intl.DateTimeFormatOptions} [form]
 */
const day = (bucket, form) => new Date(`${bucket.day}T00:00:00Z`).toLocaleDateString(language(), { ...form, timeZone: "UTC" });

/**
 * @param {string} title
 * @param {Bucket[]} buckets
 * @param {(bucket: Bucket) => number} value
 * @param {(value: number) => string} format
 */
function bars(title, buckets, value, format) {
  const [width, height] = [640, 140];
  const most = Math.max(1, ...buckets.map(value));
  const step = width / Math.max(1, buckets.length);
  const svg = drawing("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, preserveAspectRatio: "none" });
  svg.append(drawing("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }));
  buckets.forEach((bucket, at) => {
    const tall = (height * value(bucket)) / most;
    const bar = drawing("rect", { class: "bar", x: at * step + 1, width: Math.max(1, step - 2), y: height - tall, height: tall });
    bar.append(drawing("title", {}, `${day(bucket)}: ${format(value(bucket))}`));
    svg.append(bar);
  });
  // The picture is as wide as its card; words that stood in it would be stretched too.
  /** @type {Intl.DateTimeFormatOptions} */
  const form = { month: "numeric", day: "numeric" };
  const ends = [buckets[0], buckets.at(-1)].filter((end) => end !== undefined).map((end) => element("span", {}, day(end, form)));
  return element("section", { class: "card" },
    element("h2", {}, title), element("p", { class: "scale" }, format(most)), svg, element("p", { class: "scale" }, ends));
}

/** @param {HTMLElement} place */
export async function overview(place) {
  const [stats, usage] = await Promise.all([
    call("get", "/v1/admin/stats", {}),
    call("get", "/v1/stats/usage", { query: { bucket: "day" } }),
  ]);
  /** @type {[Parameters<typeof speak>[0], string | number][]} */
  const figures = [
    ["totalUsers", stats.totalUsers], ["vipUsers", stats.vipUsers], ["todayNewUsers", stats.todayNewUsers],
    ["totalOrders", stats.totalOrders], ["pendingOrders", stats.pendingOrders], ["todayRevenue", yuan(stats.todayRevenue)],
    ["runningJobs", stats.runningJobs],
  ];
  const plain = (/** @type {number} */ number) => String(Math.round(number));
  const rate = (/** @type {Bucket} */ day) => (day.succeeded + day.failed ? (100 * day.succeeded) / (day.succeeded + day.failed) : 0);
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

/** @typedef {Schema<"User">} User */

/** @param {User} user */
const aboutUser = (user) => facts([
  [speak("user"), `${user.nickName ?? "–"} · #${user.id}`],
  ...(user.phone ? [/** @type {[string, string]} */ ([speak("phone"), user.phone])] : []),
  [speak("level"), user.vipExpireAt ? `${user.vipLevel} · ${speak("until", { at: time(user.vipExpireAt) })}` : user.vipLevel],
  [speak("points"), String(user.pointsBalance)],
]);

/** @param {User} user */
const giveLevel = (user) => question({
  title: speak("level"), about: [aboutUser(user), consequence(speak("levelAdds"))], confirm: speak("giveLevel"),
  fields: [
    { name: "vipLevel", label: speak("level"), kind: "choice", choices: ["VIP", "SVIP"] },
    { name: "days", label: speak("days"), kind: "integer", min: 1, max: 36_500, value: 30, required: true },
    reason({ required: false }),
  ],
  act: ({ vipLevel, days, reason }) => call("put", "/v1/admin/users/{id}/vip", {
    path: { id: user.id }, body: { vipLevel: known(["VIP", "SVIP"], vipLevel) ?? "VIP", days: Number(days), reason: reason || null } }),
});

/** @param {User} user */
const endLevel = (user) => question({
  title: speak("endLevel"), confirm: speak("endLevel"), dangerous: true,
  about: [aboutUser(user), consequence(speak("levelEnds", { level: user.vipLevel, at: time(user.vipExpireAt) }))],
  act: () => call("delete", "/v1/admin/users/{id}/vip", { path: { id: user.id } }),
});

/** @param {User} user */
function changePoints(user) {
  const after = element("output", {}, String(user.pointsBalance));
  question({
    title: speak("changePoints"), confirm: speak("changePoints"),
    about: [aboutUser(user), element("p", { class: "consequence" }, speak("balanceAfter"), " ", after)],
    onchange: ({ pointsDelta = "" }) => { after.textContent = /^[+-]?\d{1,12}$/.test(pointsDelta) ? String(user.pointsBalance + Number(pointsDelta)) : String(user.pointsBalance); },
    fields: [
      { name: "pointsDelta", label: speak("pointsDelta"), hint: speak("pointsDeltaHint"), kind: "integer", min: -1_000_000_000, max: 1_000_000_000, required: true },
      reason({ hint: speak("ledgerShowsReason") }),
    ],
    act: ({ pointsDelta, reason }) => call("put", "/v1/admin/users/{id}", { path: { id: user.id }, body: { pointsDelta: Number(pointsDelta), reason: reason ?? "" } }),
  });
}

/** @param {User} user */
const deleteUser = (user) => question({
  title: speak("deleteUser"), about: [aboutUser(user), consequence(speak("userIsErased"))], confirm: speak("deleteUser"), dangerous: true,
  act: () => call("delete", "/v1/admin/users/{id}", { path: { id: user.id } }),
});

/**
 * @param {HTMLElement} place
 * @param {Filter} filter
 */
export function users(place, filter) {
  const vipLevel = known(LEVELS, filter["vipLevel"]);
  const search = /** @type {HTMLInputElement} */ (element("input", { type: "search", name: "search", placeholder: speak("searchUsers"), "aria-label": speak("searchUsers"), value: filter["search"] ?? "" }));
  const level = /** @type {HTMLSelectElement} */ (element("select", { name: "vipLevel", "aria-label": speak("level") },
    ["", ...LEVELS].map((name) => element("option", { value: name, selected: name === (vipLevel ?? "") }, name || speak("everyLevel")))));
  const seek = (/** @type {Event} */ event) => {
    event.preventDefault();
    go("users", { search: search.value.trim(), vipLevel: level.value });
  };
  place.append(element("form", { class: "tools", onsubmit: seek }, search, level, element("button", { class: "main" }, speak("search"))));
  const load = async (/** @type {string | undefined} */ cursor) => {
    const page = await call("get", "/v1/admin/users", { query: { search: filter["search"] || undefined, vipLevel, cursor, limit: PAGE } });
    return { items: page.users, nextCursor: page.nextCursor };
  };
  const row = (/** @type {User} */ user) => element("tr", {},
    cell("id", String(user.id)),
    cell("text", user.nickName ?? "–", element("div", { class: "soft" }, user.phone ?? "")),
    cell("", user.vipLevel, element("div", { class: "soft" }, user.vipExpireAt ? time(user.vipExpireAt) : "")),
    cell("number", String(user.pointsBalance)),
    cell("time", time(user.createdAt)),
    cell("doing",
      button(speak("level"), () => giveLevel(user)),
      user.vipLevel === "NORMAL" ? null : button(speak("endLevel"), () => endLevel(user)),
      button(speak("points"), () => changePoints(user)),
      button(speak("orders"), () => go("orders", { userId: user.id })),
      button(speak("delete"), () => deleteUser(user), "bad")));
  place.append(...growingTable(["#", speak("name"), speak("level"), speak("points"), speak("since"), ""], load, row));
}

// ---- Orders -----------------------------------------------------------------------------------------------------

/** @typedef {Schema<"AdminOrder">} Order */

/** How long to wait before a refund that is not final is looked at again. */
const REFUND_PAUSE = 3000;

/** @param {Order} order */
const goods = (order) => order.planName ?? `${order.points} ${speak("points")}`;

/** @param {Order} order */
const refund = (order) => question({
  title: speak("refund"), confirm: speak("refund"), dangerous: true,
  about: [
    facts([
      [speak("order"), order.orderId], [speak("user"), `#${order.userId}`], [speak("what"), goods(order)], [speak("amount"), yuan(order.amount)],
      ...(order.refundedAmount ? [/** @type {[string, string]} */ ([speak("refunded"), yuan(order.refundedAmount)])] : []),
    ]),
    consequence(speak(order.kind === "VIP" ? "refundTakesDays" : "refundTakesPoints")),
  ],
  fields: [
    { name: "amount", label: speak("refundYuan"), hint: speak("refundAll"), kind: "yuan", min: 1, max: order.amount - order.refundedAmount },
    reason({ hint: speak("payerSeesReason") }),
  ],
  act: ({ amount, reason }) => call("post", "/v1/admin/orders/{orderId}/refund", {
    path: { orderId: order.orderId }, body: { amount: amount ? fenOf(amount) : null, reason: reason ?? "" } }),
});

/**
 * The state of the newest refund of an order. One under way is looked at again until it is final, as long as it is shown.
 * The button that refunds is shown while the order is paid and no refund of it is under way.
 * @param {Order} order
 * @param {HTMLElement} action
 */
function refundState(order, action) {
  action.hidden = order.status !== "PAID" || order.refundStatus === "PROCESSING";
  if (!order.refundStatus) return null;
  const line = element("div", {});
  /** @type {(state: string, amount: number, failure: string | null) => void} */
  const show = (state, amount, failure) => {
    line.className = state === "FAILED" ? "bad" : state === "SUCCEEDED" ? "soft" : "warn";
    line.textContent = `${word(state, "refund")} ${yuan(amount)}${failure ? ` · ${failure}` : ""}`;
  };
  const look = async () => {
    const { order: now, refunds } = await call("get", "/v1/admin/orders/{orderId}", { path: { orderId: order.orderId } });
    const newest = refunds.at(-1);
    if (!newest) return;
    show(newest.status, newest.amount, newest.failure);
    action.hidden = now.status !== "PAID" || newest.status === "PROCESSING";
    if (newest.status === "PROCESSING") setTimeout(() => { if (line.isConnected) doing(look); }, REFUND_PAUSE);
  };
  show(order.refundStatus, order.refundedAmount, null);
  if (order.refundStatus !== "SUCCEEDED") doing(look);
  return line;
}

/**
 * @param {HTMLElement} place
 * @param {Filter} filter
 */
export function orders(place, filter) {
  const status = known(ORDER_STATES, filter["status"]);
  const kind = known(ORDER_KINDS, filter["kind"]);
  const userId = filter["userId"];
  /** @type {(name: "status" | "kind", label: string, words: readonly string[]) => HTMLElement} */
  const choose = (name, label, words) => {
    const select = /** @type {HTMLSelectElement} */ (element("select", { name, "aria-label": label, onchange: () => go("orders", { ...filter, [name]: select.value }) },
      ["", ...words].map((each) => element("option", { value: each, selected: each === (filter[name] ?? "") }, each ? word(each, "order") : label))));
    return select;
  };
  place.append(element("div", { class: "tools" },
    choose("status", speak("everyState"), ORDER_STATES), choose("kind", speak("everyKind"), ORDER_KINDS),
    userId ? button(`${speak("user")} ${userId} ×`, () => go("orders", { ...filter, userId: "" })) : null));
  const load = (/** @type {string | undefined} */ cursor) =>
    call("get", "/v1/admin/orders", { query: { status, kind, userId: userId ? Number(userId) : undefined, cursor, limit: PAGE } });
  /** @type {Record<string, string>} */
  const colour = { PAID: "good", REFUNDED: "warn", CANCELLED: "soft" };
  const row = (/** @type {Order} */ order) => {
    const action = button(speak("refund"), () => refund(order), "bad");
    return element("tr", {},
      cell("id", order.orderId, element("div", { class: "soft" }, order.transactionId ?? "")),
      cell("", String(order.userId)),
      cell("", goods(order)),
      cell("number", yuan(order.amount)),
      cell("", element("span", { class: colour[order.status] ?? "" }, word(order.status, "order")), refundState(order, action)),
      cell("time", time(order.paidAt ?? order.createdAt)),
      cell("doing", action));
  };
  place.append(...growingTable([speak("order"), speak("user"), speak("what"), speak("amount"), speak("state"), speak("at"), ""], load, row));
}

// ---- Templates --------------------------------------------------------------------------------------------------

/** @typedef {Schema<"PromptTemplate">} Template */

/** @param {Template | undefined} template */
function editTemplate(template) {
  /** @type {Field[]} */
  const fields = [
    { name: "title", label: speak("title"), required: true, value: template?.title },
    { name: "prompt", label: speak("prompt"), required: true, value: template?.prompt },
    { name: "category", label: speak("category"), required: true, value: template?.category },
  ];
  const changes = (/** @type {Record<string, string>} */ given) => ({ title: given["title"] ?? "", prompt: given["prompt"] ?? "", category: given["category"] ?? "" });
  if (template) {
    return question({
      title: `${speak("edit")} · ${template.templateId}`, fields, confirm: speak("save"),
      act: (given) => call("put", "/v1/templates/prompts/{templateId}", { path: { templateId: template.templateId }, body: changes(given) }),
    });
  }
  return question({
    title: speak("newTemplate"), confirm: speak("save"),
    fields: [{ name: "templateId", label: "ID", required: true, hint: speak("templateIdHint") }, ...fields],
    act: (given) => call("post", "/v1/templates/prompts", { body: { templateId: given["templateId"] ?? "", ...changes(given) } }),
  });
}

/** @param {Template} template */
const deleteTemplate = (template) => question({
  title: speak("deleteTemplate"), confirm: speak("deleteTemplate"), dangerous: true,
  about: [
    facts([[speak("title"), template.title], ["ID", template.templateId], [speak("used"), String(template.usageCount)]]),
    consequence(speak("templateIsGone")),
  ],
  act: () => call("delete", "/v1/templates/prompts/{templateId}", { path: { templateId: template.templateId } }),
});

/** @param {HTMLElement} place */
export async function templates(place) {
  const { templates: all } = await call("get", "/v1/templates/prompts", {});
  place.append(element("div", { class: "tools" }, button(speak("newTemplate"), () => editTemplate(undefined), "main")));
  const rows = all.map((template) => element("tr", {},
    cell("", template.thumbnailUrl ? element("img", { src: template.thumbnailUrl, alt: "", width: 48, height: 48, loading: "lazy" }) : "–"),
    cell("id", template.templateId),
    cell("text", template.title, element("div", { class: "soft" }, template.prompt)),
    cell("", template.category),
    cell("number", String(template.usageCount)),
    cell("doing", button(speak("edit"), () => editTemplate(template)), button(speak("delete"), () => deleteTemplate(template), "bad"))));
  place.append(table(["", "ID", speak("title"), speak("category"), speak("used"), ""], element("tbody", {}, rows)));
}

// ---- Gallery ----------------------------------------------------------------------------------------------------

/** @typedef {Schema<"ModeratedImage">} Moderated */

/** @param {Moderated} moderated */
const aboutImage = ({ image, textVerdict, pictureVerdict }) => [
  element("img", { class: "preview", src: image.thumbnailUrl, alt: image.prompt }),
  facts([
    [speak("picture"), `#${image.id}`],
    [speak("author"), image.author ? `${image.author.nickName ?? "–"} · #${image.author.id}` : "–"],
    [speak("checks"), `${speak("text")} ${word(textVerdict, "verdict")} · ${speak("picture")} ${word(pictureVerdict, "verdict")}`],
  ]),
];

/** @param {Moderated} moderated */
const approve = (moderated) => question({
  title: speak("approve"), about: [aboutImage(moderated), consequence(speak("everybodySees"))], confirm: speak("approve"),
  fields: [reason({ required: false })],
  act: ({ reason }) => call("post", "/v1/admin/gallery/{id}/approve", { path: { id: moderated.image.id }, body: { reason: reason || null } }),
});

/** @param {Moderated} moderated */
const reject = (moderated) => question({
  title: speak("reject"), about: [aboutImage(moderated), consequence(speak("nobodySees"))], confirm: speak("reject"), dangerous: true,
  fields: [reason({ hint: speak("authorSeesReason") })],
  act: ({ reason }) => call("post", "/v1/admin/gallery/{id}/reject", { path: { id: moderated.image.id }, body: { reason: reason ?? "" } }),
});

/** @param {Moderated} moderated */
const remove = (moderated) => question({
  title: speak("remove"), about: [aboutImage(moderated), consequence(speak("goneForGood"))], confirm: speak("remove"), dangerous: true,
  fields: [reason()],
  act: ({ reason }) => call("post", "/v1/admin/gallery/{id}/remove", { path: { id: moderated.image.id }, body: { reason: reason ?? "" } }),
});

/**
 * @param {HTMLElement} place
 * @param {Filter} filter
 */
export function gallery(place, filter) {
  const status = known(IMAGE_STATES, filter["status"]) ?? "PENDING";
  place.append(element("div", { class: "tools" }, IMAGE_STATES.map((name) =>
    button(word(name, "image"), () => go("gallery", { status: name }), name === status ? "main" : ""))));
  const tile = (/** @type {Moderated} */ moderated) => {
    const { image } = moderated;
    return element("article", { class: "card tile", "data-image": image.id },
      element("a", { href: image.imageUrl, target: "_blank", rel: "noopener noreferrer" }, element("img", { src: image.thumbnailUrl, alt: image.prompt, loading: "lazy" })),
      element("p", {}, image.prompt),
      element("p", { class: "soft" }, `#${image.id} · ${image.author?.nickName ?? (image.authorId ? `${speak("user")} ${image.authorId}` : "Dream")} · ${image.category.name} · ♥ ${image.likes} · ${time(image.createdAt)}`),
      element("p", { class: "soft" }, `${speak("text")} ${word(moderated.textVerdict, "verdict")} · ${speak("picture")} ${word(moderated.pictureVerdict, "verdict")}`),
      moderated.rejectReason ? element("p", { class: "bad" }, moderated.rejectReason) : null,
      element("div", { class: "tools" },
        moderated.status === "PENDING" || moderated.status === "REJECTED" ? button(speak("approve"), () => approve(moderated), "main") : null,
        moderated.status === "PENDING" || moderated.status === "PUBLIC" ? button(speak("reject"), () => reject(moderated), "bad") : null,
        moderated.status === "REMOVED" ? null : button(speak("remove"), () => remove(moderated), "bad")));
  };
  const load = (/** @type {string | undefined} */ cursor) => call("get", "/v1/admin/gallery", { query: { status, cursor, limit: 40 } });
  const tiles = element("div", { class: "tiles" });
  place.append(tiles, pages(tiles, load, tile, element("p", { class: "soft" }, speak("nothing"))));
}

// ---- Audit log --------------------------------------------------------------------------------------------------

/**
 * @param {HTMLElement} place
 * @param {Filter} filter
 */
export function audit(place, filter) {
  const target = /** @type {HTMLInputElement} */ (element("input", { type: "search", name: "target", placeholder: "user:1", "aria-label": speak("target"), value: filter["target"] ?? "" }));
  const seek = (/** @type {Event} */ event) => {
    event.preventDefault();
    go("audit", { target: target.value.trim() });
  };
  place.append(element("form", { class: "tools", onsubmit: seek }, target, element("button", { class: "main" }, speak("search"))));
  const load = (/** @type {string | undefined} */ cursor) =>
    call("get", "/v1/admin/audit-log", { query: { target: filter["target"] || undefined, cursor, limit: PAGE } });
  const change = (/** @type {unknown} */ value) => (value == null ? "" : element("pre", {}, JSON.stringify(value, null, 1)));
  const row = (/** @type {Schema<"AuditEntry">} */ entry) => element("tr", {},
    cell("time", time(entry.at)), cell("", entry.actor), cell("id", entry.action), cell("id", entry.target),
    cell("text", change(entry.before)), cell("text", change(entry.after)), cell("text", entry.reason ?? ""));
  place.append(...growingTable([speak("at"), speak("who"), speak("action"), speak("target"), speak("before"), speak("after"), speak("reason")], load, row));
}
