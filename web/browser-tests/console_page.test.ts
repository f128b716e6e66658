/** The console as a page: accessibility, layout and size. */
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, inject, test } from "vitest";
import { violations } from "./axe";
import { EVERY_CASE, openPage } from "./browser";
import { PROJECT, RUN } from "./mesh";
import { question, silence, writeMicrophone } from "./recordings";
import { waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");
const SCHEMES = ["light", "dark"] as const;
const SIZES = {
  phone: { width: 390, height: 844 },
  tablet: { width: 820, height: 1180 },
  desktop: { width: 1440, height: 900 },
} as const;
const MAX_GZIP_BYTES = 150_000;

test.for(SCHEMES)("the console is accessible in %s colours", async (colorScheme) => {
  const { page } = await openPage(port, { colorScheme });
  await waitForMessage(page, "session_started");
  expect(await violations(page)).toEqual([]);
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill("How long does the ferry take?");
  await page.keyboard.press("Enter");
  await waitForPlayback(page, 1);
  expect(await violations(page)).toEqual([]);
  await page.getByRole("button", { name: "Stop" }).click();
  await waitForMessage(page, "reply_finished");
  for (const dialog of ["Settings", "Keyboard shortcuts"]) {
    await page.getByRole("button", { name: dialog, exact: true }).click();
    await page.getByRole("dialog").waitFor();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden" });
  }
});

type Look = readonly [size: keyof typeof SIZES, scheme: (typeof SCHEMES)[number]];
const LOOKS: readonly Look[] = EVERY_CASE
  ? Object.keys(SIZES).flatMap((size) => SCHEMES.map((scheme): Look => [size as keyof typeof SIZES, scheme]))
  : [
      ["phone", "light"],
      ["desktop", "dark"],
    ];

test.for(LOOKS)("the console fits a %s in %s colours after a spoken turn", async ([size, colorScheme]) => {
  const wav = writeMicrophone("one-question", silence(0.5), question("demo"), silence(40));
  const { page } = await openPage(port, { microphone: wav, colorScheme, viewport: SIZES[size] });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 4);
  await page.screenshot({ path: `${RUN}console-${size}-${colorScheme}.png` });
  const { scrolls, hidden } = await page.evaluate(() => {
    const { scrollWidth, clientWidth } = document.documentElement;
    const buttons = [...document.querySelectorAll("button")].map((button) => button.getBoundingClientRect());
    const out = buttons.filter(({ left, right, width }) => width > 0 && (left < 0 || right > window.innerWidth + 1));
    return { scrolls: scrollWidth > clientWidth, hidden: out.length };
  });
  expect(scrolls).toBe(false);
  expect(hidden).toBe(0);
});

test.for([1024, 1280])("what transcribes, speaks and answers stands in one line at %i px", async (width) => {
  const { page } = await openPage(port, { viewport: { width, height: 800 } });
  const line = page.locator(".welcome-machine");
  await expect.poll(() => line.textContent()).toMatch(/transcribes, .* speaks?, /);
  const lines = await line.evaluate(
    (element) => element.clientHeight / Number.parseFloat(getComputedStyle(element).lineHeight),
  );
  expect(lines).toBeCloseTo(1, 1);
});

test("the console stays within its size budget", () => {
  const dist = `${PROJECT}web/dist/`;
  const files = readdirSync(dist, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const bytes = files.map(({ parentPath, name }) => gzipSync(readFileSync(`${parentPath}/${name}`)).length);
  const all = bytes.reduce((sum, each) => sum + each, 0);
  process.stdout.write(`the console: ${files.length} files, ${(all / 1000).toFixed(1)} kB gzipped\n`);
  expect(files.length).toBeGreaterThan(3);
  expect(all).toBeLessThanOrEqual(MAX_GZIP_BYTES);
});
