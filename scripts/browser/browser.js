// Headless Chromium for the tests of pages, as Debian packages it.
import { chromium } from "playwright-core";

export async function withPage(work, viewport = { width: 1280, height: 860 }) {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  try {
    const context = await browser.newContext({ locale: "en-US", viewport });
    const page = await context.newPage();
    const complaints = [];
    page.on("pageerror", (error) => complaints.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") complaints.push(message.text());
    });
    page.setDefaultTimeout(20_000);
    await work(page, complaints);
  } finally {
    await browser.close();
  }
}
