/** Conversations on the console: by voice, with push-to-talk, in writing, in two tabs, over a lost connection. */
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openPage, openTab } from "./browser";
import { question, silence, writeMicrophone } from "./recordings";
import { comparePlayback, receivedMessages, waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");
const CONNECTION_ERRORS = /WebSocket connection to .* failed|net::ERR_/;

const pageState = (page: Page): Promise<string | null> => page.locator("body").getAttribute("data-state");

async function sendText(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill(text);
  await page.keyboard.press("Enter");
}

test("a spoken turn plays, with captions and latency", async () => {
  const wav = writeMicrophone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await openPage(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => pageState(page)).toBe("listening");
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 3);
  expect(await pageState(page)).toBe("speaking");
  const turn = page.getByRole("region", { name: "Captions" }).getByRole("listitem");
  expect(await turn.count()).toBe(1);
  expect((await turn.locator(".said-user .words").textContent())?.length).toBeGreaterThan(5);
  expect((await turn.locator(".heard").textContent())?.length).toBeGreaterThan(10);
  const { difference, broken } = await comparePlayback(page);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  await page.getByRole("button", { name: "Stop" }).click();
  await turn.getByText("to the first sound").waitFor();
});

test("the part of a reply cut off by barge-in is struck through", async () => {
  const wav = writeMicrophone("barge-in", silence(1), question("demo"), silence(5), question("ferry"), silence(40));
  const { page } = await openPage(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForMessage(page, "reply_finished");
  const cut = page.getByRole("listitem").first().locator("s");
  await expect.poll(() => cut.count()).toBe(1);
  expect(await cut.evaluate((element) => getComputedStyle(element).textDecorationLine)).toBe("line-through");
  expect((await cut.textContent())?.length).toBeGreaterThan(10);
});

test("holding the space bar records a turn", async () => {
  const wav = writeMicrophone("held", silence(0.7), question("demo"), silence(60));
  const { page } = await openPage(port, { microphone: wav });
  await page.getByRole("group", { name: "How to talk" }).getByText("Push to talk").click();
  await page.getByRole("heading", { name: "AI Anchor" }).click();
  await page.keyboard.down("Space");
  await expect.poll(() => pageState(page)).toBe("user-speaking");
  // The recording takes three seconds.
  await page.waitForTimeout(3200);
  expect(await receivedMessages(page, "turn_committed")).toEqual([]);
  await page.keyboard.up("Space");
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 1);
  expect((await page.locator(".said-user .words").textContent())?.length).toBeGreaterThan(5);
});

test("a written turn gets a spoken reply, and Stop ends it", async () => {
  const { page } = await openPage(port);
  await sendText(page, "How long does the ferry take?");
  await waitForPlayback(page, 1);
  expect(await page.locator(".said-anchor .words").textContent()).toMatch(/ferry/i);
  expect(await page.locator(".sources summary").textContent()).toBe("From: the ferry");
  expect(await page.locator(".sources blockquote").isVisible()).toBe(false);
  await page.locator(".sources summary").click();
  await expect.poll(() => page.locator(".sources blockquote").textContent()).toMatch(/ferry-timetable\.md$/);
  await page.getByRole("button", { name: "Stop" }).click();
  await waitForMessage(page, "reply_finished");
  await expect.poll(() => page.locator("s").count()).toBe(1);
});

test("a blocked microphone is explained, and writing works", async () => {
  const { page } = await openPage(port, { allowMicrophone: false });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/microphone is blocked/i);
  await sendText(page, "How long does the ferry take?");
  await waitForMessage(page, "reply_text");
});

test("plain HTTP from another host explains the missing microphone", async () => {
  const { page } = await openPage(port, { host: "anchor.test" });
  expect(await page.evaluate(() => window.isSecureContext)).toBe(false);
  await expect.poll(() => page.getByRole("status").allTextContents()).toContainEqual(expect.stringMatching(/https/));
  expect(await page.getByRole("button", { name: "Talk", exact: true }).isDisabled()).toBe(true);
  await sendText(page, "How long does the ferry take?");
  await expect.poll(() => page.locator(".said-anchor .words").textContent()).toMatch(/ferry/i);
});

test("a second tab takes the conversation over, and the first one says so", async () => {
  const first = await openPage(port);
  await sendText(first.page, "How long does the ferry take?");
  await waitForMessage(first.page, "reply_audio");
  const second = await openTab(first.context, first.link);
  await second.page.getByRole("button", { name: "Take it over here" }).click();
  await expect.poll(() => first.page.getByRole("alert").textContent()).toMatch(/another tab/);
  await waitForMessage(second.page, "session_started");
  await sendText(second.page, "Is the library open this evening?");
  await expect.poll(() => second.page.locator(".said-anchor .words").last().textContent()).toMatch(/library/i);
});

test("a reply continues without loss after a reconnect", async () => {
  const { page, link } = await openPage(port, { allowedErrors: CONNECTION_ERRORS });
  await sendText(page, "How is the weather looking for the weekend?");
  await waitForPlayback(page, 1.5);
  link.disconnect();
  await expect.poll(() => pageState(page)).toBe("reconnecting");
  await page.waitForTimeout(1500);
  link.restore();
  await waitForMessage(page, "session_started", 2);
  const before = (await receivedMessages(page, "reply_audio")).length;
  expect(before).toBeGreaterThan(0);
  await waitForPlayback(page, 6);
  expect(await pageState(page)).toBe("speaking");
  expect(await page.getByRole("region", { name: "Captions" }).getByRole("listitem").count()).toBe(1);
  // The samples of both connections together equal what the server sent: nothing is missing or repeated.
  const { samples, difference } = await comparePlayback(page);
  expect(samples).toBeGreaterThan(5.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
});
