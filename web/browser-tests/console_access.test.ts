/** The console for people who dictate, zoom, touch, see other colours or listen to a screen reader. */
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { violations } from "./axe";
import { EVERY_CASE, openPage } from "./browser";
import { waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");

async function ask(page: Page, question: string): Promise<void> {
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill(question);
  await page.keyboard.press("Enter");
}

const SMALLEST = [
  { width: 390, height: 844 },
  { width: 360, height: 225 },
];
const LARGER = [
  { width: 844, height: 390 },
  { width: 1024, height: 768 },
];

test.for(EVERY_CASE ? [...SMALLEST, ...LARGER] : SMALLEST)(
  "nothing is inaccessible at $width x $height",
  async (viewport) => {
    const { page } = await openPage(port, { viewport });
    await page.locator(".question").first().waitFor();
    expect(await violations(page)).toEqual([]);
    await page.locator(".question").first().click();
    await waitForPlayback(page, 0.5);
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Monitor", exact: true }).click();
    await page.getByRole("dialog", { name: "Monitor" }).waitFor();
    expect(await violations(page)).toEqual([]);
  },
);

test("single keys can be changed and switched off", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "session_started");
  const settings = page.getByRole("dialog", { name: "Settings" });
  const shortcuts = page.getByRole("dialog", { name: "Keyboard shortcuts" });
  await page.keyboard.press("?");
  await shortcuts.getByRole("button", { name: /^Settings: S/ }).click();
  await page.keyboard.press("x");
  await shortcuts.getByRole("button", { name: /^Settings: X/ }).waitFor();
  await page.keyboard.press("Escape");
  await page.keyboard.press("s");
  expect(await settings.count()).toBe(0);
  await page.keyboard.press("x");
  await settings.waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Keyboard shortcuts" }).click();
  await shortcuts.getByRole("checkbox", { name: /Single keys/ }).uncheck();
  await page.keyboard.press("Escape");
  await page.reload();
  await waitForMessage(page, "session_started");
  for (const key of ["x", "d", "?", "/", " "]) await page.keyboard.press(key);
  expect(await page.getByRole("dialog").count()).toBe(0);
  expect(await page.getByRole("complementary").count()).toBe(0);
  expect(await page.locator("body").getAttribute("data-microphone")).toBe("off");
  expect(await page.evaluate(() => document.activeElement?.id)).not.toBe("writing");
});

test("at 400 % zoom the captions can be read and the text field reached", async () => {
  const { page } = await openPage(port, { viewport: { width: 360, height: 225 } });
  await waitForMessage(page, "session_started");
  await ask(page, "How long does the ferry take?");
  await waitForPlayback(page, 1);
  expect((await page.locator(".captions").boundingBox())?.height).toBeGreaterThan(140);
  const field = page.getByRole("textbox", { name: "Write to the anchor" });
  await field.scrollIntoViewIfNeeded();
  const box = await field.boundingBox();
  expect((box?.y ?? 999) + (box?.height ?? 0)).toBeLessThanOrEqual(225);
  expect(box?.height).toBeGreaterThanOrEqual(44);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(360);
});

test("forced colours show the chosen mode, the state, the health and the open monitor", async () => {
  const { page } = await openPage(port);
  await page.emulateMedia({ forcedColors: "active" });
  await waitForMessage(page, "system_status");
  const monitor = page.getByRole("button", { name: "Monitor", exact: true });
  await monitor.click();
  const background = (selector: string) =>
    page
      .locator(selector)
      .first()
      .evaluate((element) => getComputedStyle(element).backgroundColor);
  expect(await background(".chosen")).not.toBe(await background(".choice:not(.chosen)"));
  expect(await background(".tool[aria-expanded='true']")).not.toBe(await background(".tool-theme"));
  const ground = await background("body");
  for (const light of [".tally-light", ".health-ready"]) expect(await background(light)).not.toBe(ground);
});

test("the monitor over the page is a dialog: the page is inert, Esc closes it, the focus returns", async () => {
  const { page } = await openPage(port, { viewport: { width: 1024, height: 768 } });
  await ask(page, "How long does the ferry take?");
  await waitForPlayback(page, 0.5);
  const button = page.getByRole("button", { name: "Monitor", exact: true });
  await button.click();
  const dialog = page.getByRole("dialog", { name: "Monitor" });
  expect(await dialog.evaluate((element) => element.matches(":modal"))).toBe(true);
  expect(await dialog.evaluate((element) => element.contains(document.activeElement))).toBe(true);
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(await page.locator("body").getAttribute("data-state")).toBe("speaking");
  expect(await button.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("on a phone every target is 44 px high, and the page has its heading", async () => {
  const { page } = await openPage(port, { viewport: { width: 390, height: 844 } });
  await page.locator(".question").first().waitFor();
  expect(await page.getByRole("heading", { level: 1, name: /AI Anchor/ }).count()).toBe(1);
  expect(await smallTargets(page)).toEqual([]);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("dialog").waitFor();
  expect(await smallTargets(page)).toEqual([]);
});

/** The buttons, fields and labels that are drawn smaller than a finger. */
async function smallTargets(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [
      ...document.querySelectorAll<HTMLElement>("button, select, summary, label.choice, input:not([type=radio])"),
    ].flatMap((element) => {
      const { width, height } = element.getBoundingClientRect();
      // Half a pixel for rounding.
      const isSmall = height > 0 && (height < 43.5 || width < 43.5);
      return isSmall ? [`${element.outerHTML.slice(0, 80)}: ${width} x ${height}`] : [];
    }),
  );
}

test("a screen reader is told nothing while the anchor speaks, and the words once it is quiet", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "session_started");
  await expect.poll(() => page.getByRole("log").textContent()).toBe("Ready");
  expect(await page.locator(".tally").getAttribute("role")).toBeNull();
  await ask(page, "How long does the ferry take?");
  await waitForPlayback(page, 1);
  expect(await page.getByRole("log").textContent()).toBe("Ready");
  await page.getByRole("button", { name: "Stop" }).click();
  await expect.poll(() => page.getByRole("log").textContent()).toBe("ReadyYou: How long does the ferry take?Ready");
});

test("a dial of the manner has a way back, and the page says which ones the voice follows", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "choices");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const dialog = page.getByRole("dialog", { name: "Settings" });
  await expect.poll(() => dialog.locator(".manner").textContent()).toMatch(/follows .*pace/);
  const warmth = dialog.locator(".field", { has: page.getByRole("slider", { name: "Warmth" }) });
  await warmth.getByRole("slider").focus();
  await page.keyboard.press("ArrowRight");
  await expect.poll(() => warmth.locator("output").textContent()).toBe("55 %");
  await warmth.getByRole("button", { name: "Reset Warmth" }).click();
  await expect.poll(() => warmth.locator("output").textContent()).toBe("default");
});
