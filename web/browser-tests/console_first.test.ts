/** A person who opens the console for the first time, with the smallest engines, which understand English alone. */
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPage, type PageOptions } from "./browser";
import { type Mesh, startMesh } from "./mesh";
import { receivedMessages, waitForMessage, waitForPlayback } from "./tap_queries";

let mesh: Mesh;

beforeAll(async () => {
  mesh = await startMesh("minimal", { ANCHOR_MODELS: "minimal" });
});

afterAll(async () => {
  await mesh.stop();
});

async function open(options: PageOptions = {}): Promise<Page> {
  const { page } = await openPage(mesh.port, options);
  // The voices and engines are known a moment after the start.
  await page.locator(".welcome-ability").waitFor();
  return page;
}

const chip = (page: Page, name: string): Locator => page.getByRole("combobox", { name, exact: true });

test("the first screen says who this is and what it can do, and a question is one click away", async () => {
  const page = await open();
  const welcome = await page.locator(".welcome").textContent();
  expect(welcome).toContain("Hello, I am Nora, a computer voice.");
  expect(welcome).toContain("understands spoken English, speaks 8 languages, and answers from the notes");
  expect(welcome).toContain("The speech recogniser here is a small one");
  expect(await page.getByRole("complementary", { name: "Monitor" }).count()).toBe(0);
  const questions = page.getByRole("region", { name: "Questions to begin with" }).getByRole("button");
  expect(await questions.count()).toBe(3);
  const first = (await questions.first().textContent()) ?? "";
  await questions.first().click();
  await waitForPlayback(page, 1);
  expect(await page.locator(".said-user .words").textContent()).toBe(first);
  expect(await page.locator(".sources").count()).toBe(1);
  // The monitor opens when it is asked for, and is remembered.
  await page.getByRole("button", { name: "Monitor", exact: true }).click();
  await page.getByRole("complementary", { name: "Monitor" }).waitFor();
  await page.reload();
  await page.getByRole("complementary", { name: "Monitor" }).waitFor();
});

test("German is marked as written only, told lastingly, and Talk says why it will not", async () => {
  const page = await open();
  const german = chip(page, "Language").getByRole("option", { name: /^Deutsch/ });
  expect(await german.textContent()).toBe("Deutsch · writing only");
  await chip(page, "Language").selectOption("de");
  const standing = page.getByRole("status").filter({ hasText: "Deutsch works in writing only" });
  await standing.waitFor();
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  expect(await page.getByRole("alert").textContent()).toMatch(/Deutsch works in writing only.*in English/);
  expect(await page.locator("body").getAttribute("data-microphone")).toBe("off");
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill("Wie wird das Wetter am Wochenende?");
  await page.keyboard.press("Enter");
  await waitForMessage(page, "reply_text");
  expect(await page.locator(".notices").textContent()).toContain("Deutsch works in writing only");
  await chip(page, "Language").selectOption("en");
  await expect.poll(() => page.locator(".notices").textContent()).not.toContain("Deutsch");
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => page.locator("body").getAttribute("data-microphone")).toBe("on");
  // An open microphone closes.
  await chip(page, "Language").selectOption("de");
  await expect.poll(() => page.locator("body").getAttribute("data-microphone")).toBe("off");
});

test("persona and voice are changed beside the microphone, and the voice says a sample", async () => {
  const page = await open({ viewport: { width: 390, height: 844 } });
  const chosen = await chip(page, "Voice").locator("option").nth(1).getAttribute("value");
  await chip(page, "Voice").selectOption(chosen ?? "");
  await chip(page, "Persona").selectOption({ label: "Iris" });
  await waitForMessage(page, "session_updated", 2);
  await expect.poll(() => page.locator(".welcome-line").textContent()).toContain("Iris");
  const speech = page.waitForResponse((response) => response.url().endsWith("/v1/audio/speech"));
  await page.getByRole("button", { name: "Hear this voice" }).click();
  const response = await speech;
  expect(response.status()).toBe(200);
  expect(response.request().postDataJSON()).toMatchObject({ voice: chosen, language: "en" });
  const sample = page.getByRole("button", { name: "Hear this voice" });
  await expect.poll(() => sample.isEnabled()).toBe(true);
  // No turn of the talk.
  expect(await receivedMessages(page, "turn_committed")).toEqual([]);
});
