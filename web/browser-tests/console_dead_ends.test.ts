/** No dead ends: whatever the server has lost or forgotten, the page goes on, and keeps what was said. */
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { openMonitor } from "./monitor";
import { waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");
const CONNECTION_ERRORS = /WebSocket connection to .* failed|net::ERR_/;
const STORAGE_KEY = "ai-anchor.preferences";

const writing = (page: Page) => page.getByRole("textbox", { name: "Write to the anchor" });
const past = (page: Page) => page.getByRole("region", { name: "Earlier conversation" });
const connection = (page: Page) => page.locator("body").getAttribute("data-connection");

async function sendText(page: Page, text: string): Promise<void> {
  await writing(page).fill(text);
  await page.keyboard.press("Enter");
}

async function exportedText(page: Page): Promise<string> {
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Text: save the transcript" }).click();
  return readFileSync(await (await downloading).path(), "utf-8");
}

test("a conversation that the server forgets stays on the page, and a new one begins by itself", async () => {
  const { page, link } = await openPage(port, { allowedErrors: CONNECTION_ERRORS });
  await sendText(page, "How long does the ferry take?");
  await waitForPlayback(page, 0.5);
  await expect.poll(() => page.locator(".now").count()).toBe(1);
  await openMonitor(page);
  await expect.poll(() => page.locator(".health-ready").count()).toBeGreaterThan(3);

  link.disconnect();
  await expect.poll(() => connection(page)).toBe("reconnecting");
  expect(await page.locator(".health-ready").count()).toBe(0);
  await sendText(page, "Is the library open?");
  expect(await page.getByRole("alert").textContent()).toMatch(/^Not sent/);
  expect(await writing(page).inputValue()).toBe("Is the library open?");

  const ticket = await page.evaluate(
    (key) => (JSON.parse(localStorage.getItem(key) ?? "{}") as { ticket: string }).ticket,
    STORAGE_KEY,
  );
  await fetch(`http://127.0.0.1:${port}/stored?ticket=${encodeURIComponent(ticket)}`, { method: "DELETE" });
  link.restore();
  await expect.poll(() => connection(page)).toBe("open");
  await waitForMessage(page, "session_started", 2);
  expect(await past(page).textContent()).toMatch(/ferry.*The server has forgotten this conversation/s);
  expect(await page.getByRole("button", { name: "Connect again" }).count()).toBe(0);
  expect(await page.locator(".now").count()).toBe(0);
  await expect.poll(() => page.locator(".health-ready").count()).toBeGreaterThan(3);

  await writing(page).press("Enter");
  await expect.poll(() => page.locator(".captions > .turns .said-anchor").textContent()).toMatch(/library/i);
  expect(await exportedText(page)).toMatch(/How long does the ferry take\?.*Is the library open\?/s);

  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "New conversation" }).click();
  await waitForMessage(page, "session_started", 3);
  expect(await past(page).count()).toBe(2);
  expect(await past(page).last().textContent()).toMatch(/library.*the conversation before/s);
});

test("a returning visitor whose ticket and voice are gone gets the welcome, and the reason", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "session_started");
  await page.evaluate((key) => {
    localStorage.setItem(key, JSON.stringify({ ticket: "forgotten-long-ago", voice: "nobody" }));
  }, STORAGE_KEY);
  await page.reload();
  await waitForMessage(page, "session_started");
  expect(await connection(page)).toBe("open");
  await page.locator(".welcome-line").waitFor();
  await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/voice that you chose before is gone/);
  expect(await past(page).count()).toBe(0);
  await sendText(page, "How long does the ferry take?");
  await waitForPlayback(page, 0.5);
});
