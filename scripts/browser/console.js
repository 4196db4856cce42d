// The administration's console in a browser, every action of every page with data:
// console.js URL ADMIN-KEY SCREENSHOTS
import assert from "node:assert/strict";
import { withPage } from "./browser.js";

const [url, key, shots] = process.argv.slice(2);

async function send(method, target, body, headers = {}) {
  const answer = await fetch(target, { method, headers: { "Content-Type": "application/json", ...headers }, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${target}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}
const post = (path, body, token) => send("POST", url + path, body, token ? { Authorization: `Bearer ${token}` } : {});
const get = (path, token) => send("GET", url + path, undefined, { Authorization: `Bearer ${token}` });
const admin = (method, path, body) => send(method, url + path, body, { "X-Admin-Key": key });

// A user with a name, two paid orders, and four pictures that wait for a person; one who leaves; a list of two pages.
const { token, user } = await post("/v1/auth/wechat-login", { code: "sandbox-console" });
await admin("PUT", `/v1/admin/users/${user.id}`, { nickName: "<b>Console</b>" });
const leaving = (await post("/v1/auth/wechat-login", { code: "sandbox-leaving" })).user;
await admin("PUT", `/v1/admin/users/${leaving.id}`, { nickName: "Leaving", pointsDelta: 7, reason: "for the test" });
const { jobId } = await post("/v1/jobs", { prompt: "a lighthouse at dusk", sampleCount: 4 }, token);
for (;;) {
  const { status } = await get(`/v1/proxy/jobs/${jobId}?wait=10`, token);
  if (status === "SUCCEEDED") break;
  assert.ok(["QUEUED", "RUNNING"].includes(status), status);
}
// The sandbox checks no content, so a picture waits for a person only when it is published again after a rejection.
const pictures = [];
for (const index of [0, 1, 2, 3]) {
  const publish = () => post("/v1/gallery/publish", { jobId, categoryId: "landscape", index }, token);
  const { id } = await publish();
  await admin("POST", `/v1/admin/gallery/${id}/reject`, { reason: "a first look" });
  pictures.push((await publish()).id);
}
const [approved, rejected, removed, waiting] = pictures;
const plan = (await post("/v1/vip/purchase", { planId: "vip_month", paymentMethod: "wechat" }, token)).orderId;
const points = (await post("/v1/points/recharge", { amount: 50, paymentMethod: "wechat" }, token)).orderId;
for (const order of [plan, points]) await post(`/sandbox/pay/${order}`, {}, token);
for (let entry = 0; entry < 55; entry += 1) await admin("PUT", `/v1/admin/users/${user.id}`, { pointsDelta: 1, reason: `entry ${entry}` });

/** @param {"desktop" | "phone"} device */
async function tour(page, complaints, device) {
  const shoot = (name) => page.screenshot({ path: `${shots}/console-${device}-${name}.png` });
  await page.goto(`${url}/admin`);
  await page.getByLabel("Admin key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  for (const name of ["Overview", "Users", "Orders", "Templates", "Gallery", "Audit log"]) {
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
    await page.locator("main .card, main tbody td, main .tiles > *").first().waitFor();
    await page.waitForLoadState("networkidle");
    await shoot(name.toLowerCase().replace(" ", "-"));
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(wide <= 0, `${name} is ${wide} px wider than the ${device}`);
  }
  assert.deepEqual(complaints, []);
}

await withPage(async (page, complaints) => {
  const shoot = (name) => page.screenshot({ path: `${shots}/console-${name}.png` });
  const open = async (name) => {
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  };
  const dialog = page.getByRole("dialog");
  const press = (name) => dialog.getByRole("button", { name, exact: true }).click();
  const gone = () => dialog.waitFor({ state: "detached" });
  /** What is said about a field of the dialog. */
  const faultOf = (name) => dialog.locator(".field").filter({ has: page.locator(`[name="${name}"]`) }).locator(".fault");
  const says = (locator, text) => locator.filter({ hasText: text }).waitFor();
  /** The browser logs a refused request as an error; these are expected. */
  const expected = (status) => {
    const at = complaints.findIndex((text) => text.includes(String(status)));
    assert.ok(at >= 0, `no request was refused with ${status}`);
    complaints.splice(at, 1);
  };

  // Signing in.
  await page.goto(`${url}/admin`);
  await page.getByLabel("Admin key").fill("not the key");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("status").filter({ hasText: /./ }).waitFor();
  expected(401);
  await page.getByLabel("Admin key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.locator("svg .bar").first().waitFor({ state: "attached" });
  assert.ok(Number(await page.locator('[data-figure="totalUsers"]').textContent()) >= 2);

  // Users: level, end of level, points by a difference, search, orders, deletion.
  await open("Users");
  const row = (id) => page.getByRole("row").filter({ has: page.getByRole("cell", { name: String(id), exact: true }) });
  const balance = Number(await row(user.id).locator("td.number").textContent());
  await row(user.id).getByRole("button", { name: "Points" }).click();
  await says(dialog, "<b>Console</b>");
  await press("Change points");
  await says(faultOf("pointsDelta"), "Required");
  await says(faultOf("reason"), "Required");
  await dialog.getByLabel("Change by").fill("a lot");
  await dialog.getByLabel("Reason").fill("a gift");
  await press("Change points");
  await says(faultOf("pointsDelta"), "whole number");
  await dialog.getByLabel("Change by").fill(String(-balance - 5));
  await says(dialog.locator("output"), "-5");
  await press("Change points");
  await says(dialog.locator("p.fault"), "5 points are missing");
  expected(409);
  await shoot("points");
  // Somebody else's change meanwhile is not overwritten.
  await admin("PUT", `/v1/admin/users/${user.id}`, { pointsDelta: 1000, reason: "meanwhile" });
  await dialog.getByLabel("Change by").fill("20");
  await press("Change points");
  await gone();
  await row(user.id).getByRole("cell", { name: String(balance + 1020), exact: true }).waitFor();
  await row(leaving.id).getByRole("button", { name: "Level", exact: true }).click();
  await dialog.getByLabel("Days").fill("0");
  await press("Grant level");
  await says(faultOf("days"), "between 1 and 36500");
  await dialog.getByLabel("Days").fill("7");
  await press("Grant level");
  await row(leaving.id).getByRole("cell", { name: /^VIP/ }).waitFor();
  await row(leaving.id).getByRole("button", { name: "End level" }).click();
  await says(dialog, "Leaving");
  await says(dialog, "nothing is refunded");
  await press("End level");
  await row(leaving.id).getByRole("cell", { name: /^NORMAL/ }).waitFor();
  await row(leaving.id).getByRole("button", { name: "Delete" }).click();
  await says(dialog, "Leaving");
  await says(dialog, "This cannot be undone");
  await shoot("delete-user");
  await press("Delete user");
  await row(leaving.id).waitFor({ state: "detached" });
  await page.locator('select[name="vipLevel"]').selectOption("VIP");
  await page.getByRole("searchbox").fill(user.openid);
  await page.getByRole("button", { name: "Search" }).click();
  await row(user.id).getByRole("button", { name: "Orders" }).click();

  // Orders: filters, refunds in part and in whole, in yuan throughout.
  await page.getByRole("heading", { name: "Orders", level: 1 }).waitFor();
  await page.getByText(plan).waitFor();
  await page.getByRole("button", { name: /User \d+ ×/ }).click();
  await page.locator('select[name="kind"]').selectOption("VIP");
  await page.getByText(points).waitFor({ state: "detached" });
  await page.locator('select[name="kind"]').selectOption("");
  await page.locator('select[name="status"]').selectOption("PAID");
  const order = (id) => page.getByRole("row").filter({ hasText: id });
  await order(plan).getByRole("button", { name: "Refund" }).click();
  await dialog.getByLabel("Reason").fill("a complaint");
  for (const [amount, fault] of [["30", "between ¥0.01 and ¥19.99"], ["0", "between ¥0.01 and ¥19.99"], ["1.999", "two decimals"], ["five", "two decimals"]]) {
    await dialog.getByLabel("Amount to refund").fill(amount);
    await press("Refund");
    await says(faultOf("amount"), fault);
  }
  await shoot("refund");
  await dialog.getByLabel("Amount to refund").fill("5.5");
  await press("Refund");
  await gone();
  // The state of the refund is shown until it is final, without a reload.
  await order(plan).getByText("Refunded ¥5.50").waitFor();
  await order(plan).getByRole("button", { name: "Refund" }).waitFor();
  await order(points).getByRole("button", { name: "Refund" }).click();
  await says(dialog, "points are taken back");
  await dialog.getByLabel("Reason").fill("all of it");
  await press("Refund");
  await gone();
  await order(points).getByText("Refunded ¥5.00").waitFor();
  await page.locator('select[name="status"]').selectOption("REFUNDED");
  await order(points).waitFor();

  // Templates: new, edited, deleted.
  await open("Templates");
  await page.getByRole("button", { name: "New template" }).click();
  await dialog.getByLabel("ID").fill("not an id");
  await dialog.getByLabel("Title").fill("<b>made in a browser</b>");
  await dialog.getByLabel("Prompt").fill("a window");
  await dialog.getByLabel("Category").fill("portrait");
  await press("Save");
  await says(faultOf("templateId"), "letters, digits");
  expected(400);
  await dialog.getByLabel("ID").fill("browser_made");
  await press("Save");
  await page.getByText("<b>made in a browser</b>").waitFor();
  const template = page.getByRole("row").filter({ hasText: "browser_made" });
  await template.getByRole("button", { name: "Edit" }).click();
  await dialog.getByLabel("Title").fill("made twice");
  await press("Save");
  await template.getByText("made twice").waitFor();
  await template.getByRole("button", { name: "Delete" }).click();
  await says(dialog, "made twice");
  await says(dialog, "This cannot be undone");
  await press("Delete template");
  await template.waitFor({ state: "detached" });

  // The gallery: every verb in every state that has it.
  await open("Gallery");
  const tile = (id) => page.locator(`[data-image="${id}"]`);
  const state = (name) => page.locator("main > .tools").getByRole("button", { name, exact: true }).click();
  for (const id of pictures) await tile(id).locator("img").waitFor();
  const shown = await tile(waiting).locator("img").evaluate((image) => image.decode().then(() => image.naturalWidth));
  assert.ok(shown > 0, "the picture is shown");
  await shoot("gallery-pending");
  await tile(approved).getByRole("button", { name: "Approve" }).click();
  await press("Approve");
  await tile(approved).waitFor({ state: "detached" });
  await tile(rejected).getByRole("button", { name: "Reject" }).click();
  await press("Reject");
  await says(faultOf("reason"), "Required");
  await dialog.getByLabel("Reason").fill("a logo of somebody else");
  await shoot("reject");
  await press("Reject");
  await tile(rejected).waitFor({ state: "detached" });
  await tile(removed).getByRole("button", { name: "Remove" }).click();
  await says(dialog, "for good");
  await dialog.getByLabel("Reason").fill("a complaint");
  await press("Remove");
  await tile(removed).waitFor({ state: "detached" });
  await tile(waiting).waitFor();
  const { items: mine } = await get("/v1/gallery/mine", token);
  const own = (id) => mine.find((image) => image.id === id);
  assert.deepEqual([own(approved).status, own(rejected).status, own(rejected).rejectReason], ["PUBLIC", "REJECTED", "a logo of somebody else"]);
  await state("Rejected");
  await tile(rejected).getByText("a logo of somebody else").waitFor();
  await tile(rejected).getByRole("button", { name: "Approve" }).click();
  await press("Approve");
  await tile(rejected).waitFor({ state: "detached" });
  await state("Public");
  await tile(rejected).getByRole("button", { name: "Remove" }).click();
  await dialog.getByLabel("Reason").fill("after all");
  await press("Remove");
  await tile(rejected).waitFor({ state: "detached" });
  await tile(approved).getByRole("button", { name: "Reject" }).click();
  await dialog.getByLabel("Reason").fill("on second thoughts");
  await press("Reject");
  await tile(approved).waitFor({ state: "detached" });
  await state("Rejected");
  await tile(approved).getByRole("button", { name: "Remove" }).click();
  await dialog.getByLabel("Reason").fill("a complaint");
  await press("Remove");
  await state("Removed");
  await tile(removed).waitFor();
  assert.equal(await tile(removed).getByRole("button").count(), 0);

  // The audit log: two pages, and a search.
  await open("Audit log");
  await page.getByText("a logo of somebody else").waitFor();
  await page.getByRole("button", { name: "More" }).click();
  await page.getByText("entry 3", { exact: true }).waitFor();
  await page.getByRole("searchbox").fill(`image:${removed}`);
  await page.getByRole("button", { name: "Search" }).click();
  await page.getByText("entry 3", { exact: true }).waitFor({ state: "detached" });
  await page.getByRole("cell", { name: "gallery.remove" }).waitFor();

  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("heading", { name: "审计日志" }).waitFor();
  await page.getByRole("link", { name: "画廊" }).click();
  await tile(waiting).getByRole("button", { name: "拒绝" }).click();
  await shoot("chinese");
  await dialog.getByRole("button", { name: "取消" }).click();
  await page.getByRole("button", { name: "退出" }).click();
  await page.getByRole("button", { name: "登录" }).waitFor();

  assert.deepEqual(complaints, []);
});
await withPage((page, complaints) => tour(page, complaints, "desktop"));
await withPage((page, complaints) => tour(page, complaints, "phone"), { width: 390, height: 844 });
console.log("ok  the console in a browser");
