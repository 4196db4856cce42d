// The administration's console in a browser: console.js URL ADMIN-KEY SCREENSHOTS
import assert from "node:assert/strict";
import { withPage } from "./browser.js";

const [url, key, shots] = process.argv.slice(2);

async function post(path, body, token) {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    body: JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

// Something to look at: a user with a job that is to go public.
const { token, user } = await post("/v1/auth/wechat-login", { code: "sandbox-console" });
const { jobId } = await post("/v1/jobs", { prompt: "a lighthouse at dusk" }, token);
for (;;) {
  const answer = await fetch(`${url}/v1/proxy/jobs/${jobId}?wait=10`, { headers: { Authorization: `Bearer ${token}` } });
  const { status } = await answer.json();
  if (status === "SUCCEEDED") break;
  assert.ok(["QUEUED", "RUNNING"].includes(status), status);
}
const bought = await post("/v1/vip/purchase", { planId: "vip_month", paymentMethod: "wechat" }, token);

await withPage(async (page, complaints) => {
  const shoot = (name) => page.screenshot({ path: `${shots}/console-${name}.png` });
  const open = async (name) => {
    await page.getByRole("link", { name, exact: true }).click();
    await page.getByRole("heading", { name, level: 1 }).waitFor();
  };

  await page.goto(`${url}/admin`);
  await page.getByLabel("Admin key").fill("not the key");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("status").filter({ hasText: /./ }).waitFor();
  complaints.length = 0; // A refused key is logged by the browser as a failed request.
  await page.getByLabel("Admin key").fill(key);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { name: "Overview" }).waitFor();
  await page.locator("svg .bar").first().waitFor({ state: "attached" });
  assert.ok(Number(await page.locator('[data-figure="totalUsers"]').textContent()) >= 1);
  await shoot("overview");

  await open("Users");
  const row = page.getByRole("row").filter({ has: page.getByRole("cell", { name: String(user.id), exact: true }) });
  await row.getByRole("button", { name: "Points" }).click();
  await page.getByLabel("New balance").fill("120");
  await page.getByLabel("Reason").fill("a gift");
  await shoot("points");
  await page.getByRole("button", { name: "Confirm" }).click();
  await row.getByRole("cell", { name: "120", exact: true }).waitFor();
  await row.getByRole("button", { name: "Level", exact: true }).click();
  await page.getByLabel("Days").fill("7");
  await page.getByRole("button", { name: "Confirm" }).click();
  await row.getByRole("cell", { name: /^VIP/ }).waitFor();
  await shoot("users");

  await open("Orders");
  await page.getByText(bought.orderId).waitFor();
  await shoot("orders");

  await open("Templates");
  await page.getByRole("button", { name: "New template" }).click();
  await page.getByLabel("ID").fill("browser_made");
  await page.getByLabel("Title").fill("<b>made in a browser</b>");
  await page.getByLabel("Prompt").fill("a window");
  await page.getByLabel("Category").fill("portrait");
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByText("<b>made in a browser</b>").waitFor();
  await shoot("templates");

  await open("Gallery");
  await page.getByRole("button", { name: "Public" }).click();
  await page.locator("article img").first().waitFor();
  await shoot("gallery");

  await open("Audit log");
  await page.getByText("a gift").waitFor();
  await shoot("audit");

  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("heading", { name: "审计日志" }).waitFor();
  await shoot("chinese");
  await page.getByRole("button", { name: "退出" }).click();
  await page.getByRole("button", { name: "登录" }).waitFor();
  assert.deepEqual(complaints, []);
});
console.log("ok  the console in a browser");
