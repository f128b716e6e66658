/** The captions on the console, of long replies of a language model that follows a script. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPage } from "./browser";
import { type Mesh, RUN, startMesh } from "./mesh";

const FOLDER = `${RUN}captions`;
const SIZES = [
  { width: 844, height: 390 },
  { width: 320, height: 568 },
  { width: 390, height: 844 },
  { width: 1440, height: 900 },
] as const;
/** Longer than the captions' part of the page at every size. */
const LONG_REPLY = Array.from(
  { length: 40 },
  (_, index) => `Sentence ${index + 1} of the long story tells how the ferry crosses the bay.`,
).join(" ");
const SHORT_REPLY = "The ferry takes twenty minutes to the island. It leaves at six in the morning.";

let mesh: Mesh;

beforeAll(async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const script = `${FOLDER}/script.toml`;
  writeFileSync(
    script,
    `[llm]\nreplies = ${JSON.stringify([LONG_REPLY, SHORT_REPLY])}\ntokens_per_second = 2000\n` +
      "[tts]\nms_per_character = 20\nreal_time_factor = 0.02\n",
  );
  mesh = await startMesh("captions/mesh", {
    TTS_ENGINE: "scripted",
    ORCHESTRATOR_LLM: "scripted",
    ANCHOR_SCRIPT: script,
  });
});

afterAll(async () => {
  await mesh.stop();
});

async function sendText(page: Page, text: string): Promise<void> {
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill(text);
  await page.keyboard.press("Enter");
}

/** Where the list is scrolled to, and whether the word that sounds is within it; null without such a word. */
async function spokenWord(page: Page): Promise<{ scrollTop: number; isVisible: boolean; word: string } | null> {
  return page.evaluate(() => {
    const list = document.querySelector(".captions");
    const word = document.querySelector(".now");
    if (!list || !word) return null;
    const [area, box] = [list.getBoundingClientRect(), word.getClientRects()[0]];
    const isVisible = box !== undefined && box.top >= area.top - 1 && box.bottom <= area.bottom + 1;
    return { scrollTop: list.scrollTop, isVisible, word: word.textContent };
  });
}

test("the captions follow the word that sounds at every size, and stay where the reader scrolls", async () => {
  const { page } = await openPage(mesh.port, { viewport: SIZES[0] });
  await sendText(page, "Tell me the long story.");
  await expect.poll(() => spokenWord(page)).not.toBeNull();
  for (const size of SIZES) {
    await page.setViewportSize(size);
    await page.waitForTimeout(300);
    const words = [];
    for (let look = 0; look < 6; look += 1) {
      words.push(await spokenWord(page));
      await page.waitForTimeout(200);
    }
    expect(words.map((word) => word?.isVisible)).toEqual(words.map(() => true));
    expect(new Set(words.map((word) => word?.word)).size).toBeGreaterThan(1);
    await page.screenshot({ path: `${RUN}captions-${size.width}.png` });
  }
  await page.setViewportSize(SIZES[0]);
  const toNow = page.getByRole("button", { name: "Back to now" });
  await page.waitForTimeout(300);
  expect(await toNow.count()).toBe(0);
  await page.getByRole("region", { name: "Captions" }).hover();
  await page.mouse.wheel(0, -5000);
  await toNow.waitFor();
  await page.waitForTimeout(1000);
  expect(await spokenWord(page)).toMatchObject({ scrollTop: 0 });
  await page.screenshot({ path: `${RUN}captions-scrolled-back.png` });
  await toNow.click();
  await toNow.waitFor({ state: "hidden" });
  expect(await spokenWord(page)).toMatchObject({ isVisible: true });
});
