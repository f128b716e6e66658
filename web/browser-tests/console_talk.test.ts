/** A talk on the console, as people hold it: by voice, by a held key, in writing, in two tabs, over a bad line. */
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openTab, visit } from "./browser";
import { fidelity, messages, soundsFor, until } from "./hearing";
import { microphone, question, silence } from "./recordings";

const port = inject("meshPort");
const BROKEN_LINE = /WebSocket connection to .* failed|net::ERR_/;

const state = (page: Page): Promise<string | null> => page.locator("body").getAttribute("data-state");

async function write(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill(text);
  await page.keyboard.press("Enter");
}

test("a spoken turn is heard, captioned and timed", async () => {
  const wav = microphone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await visit(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => state(page)).toBe("listening");
  await until(page, "turn_committed");
  await soundsFor(page, 3);
  expect(await state(page)).toBe("speaking");
  const turn = page.getByRole("region", { name: "Captions" }).getByRole("listitem");
  expect(await turn.count()).toBe(1);
  expect((await turn.locator(".said-user .words").textContent())?.length).toBeGreaterThan(5);
  expect((await turn.locator(".heard").textContent())?.length).toBeGreaterThan(10);
  const { difference, broken } = await fidelity(page);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  await page.getByRole("button", { name: "Stop" }).click();
  await turn.getByText("to the first sound").waitFor();
});

test("what was cut off by speaking over it is struck through", async () => {
  const wav = microphone("barge-in", silence(1), question("demo"), silence(5), question("ferry"), silence(40));
  const { page } = await visit(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await until(page, "reply_finished");
  const cut = page.getByRole("listitem").first().locator("s");
  await expect.poll(() => cut.count()).toBe(1);
  expect(await cut.evaluate((element) => getComputedStyle(element).textDecorationLine)).toBe("line-through");
  expect((await cut.textContent())?.length).toBeGreaterThan(10);
});

test("a turn is spoken while the space bar is held", async () => {
  const wav = microphone("held", silence(0.7), question("demo"), silence(60));
  const { page } = await visit(port, { microphone: wav });
  await page.getByRole("group", { name: "How to talk" }).getByText("Push to talk").click();
  await page.getByRole("heading", { name: "AI Anchor" }).click();
  await page.keyboard.down("Space");
  await expect.poll(() => state(page)).toBe("hearing");
  // The recording is over after three seconds.
  await page.waitForTimeout(3200);
  expect(await messages(page, "turn_committed")).toEqual([]);
  await page.keyboard.up("Space");
  await until(page, "turn_committed");
  await soundsFor(page, 1);
  expect((await page.locator(".said-user .words").textContent())?.length).toBeGreaterThan(5);
});

test("a written turn is answered by voice, and the reply stops at the button", async () => {
  const { page } = await visit(port);
  await write(page, "How long does the ferry take?");
  await soundsFor(page, 1);
  expect(await page.locator(".said-anchor .words").textContent()).toMatch(/ferry/i);
  await page.getByRole("button", { name: "Stop" }).click();
  await until(page, "reply_finished");
  await expect.poll(() => page.locator("s").count()).toBe(1);
});

test("a refused microphone is explained, and writing goes on", async () => {
  const { page } = await visit(port, { allows: false });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/microphone is blocked/i);
  await write(page, "How long does the ferry take?");
  await until(page, "reply_text");
});

test("over plain HTTP from elsewhere the page says why there is no microphone, and writing works", async () => {
  const { page } = await visit(port, { host: "anchor.test" });
  expect(await page.evaluate(() => window.isSecureContext)).toBe(false);
  await expect.poll(() => page.getByRole("status").allTextContents()).toContainEqual(expect.stringMatching(/https/));
  expect(await page.getByRole("button", { name: "Talk", exact: true }).isDisabled()).toBe(true);
  await write(page, "How long does the ferry take?");
  await expect.poll(() => page.locator(".said-anchor .words").textContent()).toMatch(/ferry/i);
});

test("a second tab may take the conversation over, and the first is told", async () => {
  const first = await visit(port);
  await write(first.page, "How long does the ferry take?");
  await until(first.page, "reply_audio");
  const second = await openTab(first.context, first.line);
  await second.page.getByRole("button", { name: "Take it over here" }).click();
  await expect.poll(() => first.page.getByRole("alert").textContent()).toMatch(/another tab/);
  await until(second.page, "session_started");
  await write(second.page, "Is the library open this evening?");
  await expect.poll(() => second.page.locator(".said-anchor .words").last().textContent()).toMatch(/library/i);
});

test("a reply goes on where it was when the line comes back", async () => {
  const { page, line } = await visit(port, { forgives: BROKEN_LINE });
  await write(page, "How is the weather looking for the weekend?");
  await soundsFor(page, 1.5);
  line.cut();
  await expect.poll(() => state(page)).toBe("reconnecting");
  await page.waitForTimeout(1500);
  line.mend();
  await until(page, "session_started", 2);
  const before = (await messages(page, "reply_audio")).length;
  expect(before).toBeGreaterThan(0);
  await soundsFor(page, 6);
  expect(await state(page)).toBe("speaking");
  expect(await page.getByRole("region", { name: "Captions" }).getByRole("listitem").count()).toBe(1);
  // Sample for sample what the server sent, in one line over both connections: nothing is missing, nothing comes twice.
  const { samples, difference } = await fidelity(page);
  expect(samples).toBeGreaterThan(5.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
});
