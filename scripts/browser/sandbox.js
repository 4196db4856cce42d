// The sandbox's control page in a browser: sandbox.js URL CONTROL-PAGE WECHAT-PAY SCREENSHOTS
import assert from "node:assert/strict";
import { withPage } from "./browser.js";

const [url, control, pay, shots] = process.argv.slice(2);

async function ask(method, path, body, token) {
  const headers = { "Content-Type": "application/json", ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(url + path, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
}

const { token } = await ask("POST", "/v1/auth/wechat-login", { code: "sandbox-tester" });
const { user } = await ask("GET", "/v1/auth/check", undefined, token);
const buy = async () => (await ask("POST", "/v1/vip/purchase", { planId: "vip_month", paymentMethod: "wechat" }, token)).orderId;
const status = async (id) => (await ask("GET", `/v1/orders/${id}`, undefined, token)).status;

/** Waits until an order stands like this. */
async function becomes(id, wanted) {
  for (let tries = 0; tries < 100; tries += 1) {
    if ((await status(id)) === wanted) return;
    await new Promise((resolve) => { setTimeout(resolve, 200); });
  }
  assert.fail(`order ${id} is ${await status(id)}, not ${wanted}`);
}

await withPage(async (page, complaints) => {
  const shoot = (name) => page.screenshot({ path: `${shots}/sandbox-${name}.png`, fullPage: true });
  const section = (name) => page.getByRole("region", { name, exact: true });
  const row = (id) => section("Orders").getByRole("row").filter({ hasText: id });

  const [paid, failed] = [await buy(), await buy()];
  await page.goto(control);
  await section("Who logged in").getByText(user.openid).waitFor();

  await row(paid).getByRole("button", { name: "Pay", exact: true }).click();
  await row(paid).getByText("paid", { exact: true }).waitFor();
  await becomes(paid, "PAID");
  await section("What the backend was told").getByRole("row").filter({ hasText: paid }).getByText("200").waitFor();
  await row(failed).getByRole("button", { name: "Fail" }).click();
  await row(failed).getByText("closed", { exact: true }).waitFor();

  // A request with its signature, line by line; and one that is not signed.
  await fetch(`${pay}/v3/certificates`, { headers: { Accept: "application/json" } });
  const requests = section("Requests: WeChat Pay");
  const signed = requests.locator("details").filter({ hasText: "POST /v3/pay/transactions/jsapi" }).last();
  await signed.locator("summary").click();
  await signed.getByText("What the merchant signs, line by line").waitFor();
  await signed.locator("li").filter({ hasText: "out_trade_no" }).waitFor();
  const forged = requests.locator("details").filter({ hasText: "GET /v3/certificates" }).filter({ hasText: "signature refused" }).first();
  await forged.locator("summary").click();
  await forged.getByText("no Authorization of the scheme WECHATPAY2-SHA256-RSA2048").waitFor();
  await shoot("requests");

  // A notify that is lost is made good by asking; one that comes twice counts once.
  const trouble = section("Trouble");
  await trouble.getByRole("button", { name: "Lose the next notify" }).click();
  await trouble.getByText("lose_all").waitFor();
  await trouble.getByRole("button", { name: "Slow the image API" }).click();
  await trouble.getByText("delay 5000 ms").waitFor();
  await shoot("trouble");
  const lost = await buy();
  await row(lost).getByRole("button", { name: "Pay", exact: true }).click();
  await trouble.getByText("lose_all").waitFor({ state: "detached" });
  await becomes(lost, "PAID");
  await trouble.getByRole("button", { name: "Make it well" }).click();
  await trouble.getByText("Nothing goes wrong").waitFor();
  await trouble.getByRole("button", { name: "Double the next notify" }).click();
  const doubled = await buy();
  await row(doubled).getByRole("button", { name: "Pay", exact: true }).click();
  await becomes(doubled, "PAID");
  await section("What the backend was told").getByRole("row").filter({ hasText: doubled }).nth(1).waitFor();
  await row(doubled).getByRole("button", { name: "Refund" }).click();
  await section("Refunds").getByRole("row").filter({ hasText: "19.99" }).first().waitFor();

  // What is broken fails, and works once it is made well.
  await trouble.getByRole("button", { name: "Break the image API" }).click();
  await trouble.getByText("status 500").waitFor();
  const { jobId } = await ask("POST", "/v1/jobs", { prompt: "a lighthouse at dusk" }, token);
  await section("Requests: Image API").getByText("500").first().waitFor();
  await trouble.getByRole("button", { name: "Make it well" }).click();
  for (;;) {
    const job = await ask("GET", `/v1/proxy/jobs/${jobId}?wait=10`, undefined, token);
    if (job.status === "SUCCEEDED") break;
    assert.ok(["QUEUED", "RUNNING", "RETRYING"].includes(job.status), job.status);
  }

  await page.getByRole("button", { name: "中文" }).click();
  await page.getByRole("heading", { name: "登录过的用户" }).waitFor();
  await shoot("chinese");
  assert.deepEqual(complaints, []);
});
console.log("ok  the sandbox's control page in a browser");
