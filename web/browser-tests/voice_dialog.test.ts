/** The dialog that clones a voice: recorded, rated and transcribed for real, and refused by engines that cannot learn. */
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { question, silence, writeMicrophone } from "./recordings";
import { waitForMessage } from "./tap_queries";

const port = inject("meshPort");
const RECORDING_MS = 4500;

test("without an engine that learns voices, the dialog says what would", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "session_started");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "Clone a voice" }).click();
  const dialog = page.getByRole("dialog", { name: "Voices" });
  await dialog.getByText("No engine that runs here can learn a voice.").waitFor();
  expect(await dialog.textContent()).toContain("pocket-tts");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  // The settings below it stay open.
  expect(await page.getByRole("dialog", { name: "Settings" }).isVisible()).toBe(true);
});

test("a voice is recorded, rated and transcribed, and a refusal is shown", async () => {
  const microphone = writeMicrophone("voice", silence(0.3), question("demo"), silence(40));
  // The browser reports the refusal of the last request as an error of the page.
  const { page } = await openPage(port, { microphone, allowedErrors: /status of 501/ });
  await waitForMessage(page, "session_started");
  await page.route("**/v1/audio/voices", async (route) => {
    if (route.request().method() !== "GET") return route.continue();
    return route.fulfill({ json: { data: [], cloning: { available: true, languages: ["en"], reason: "" } } });
  });
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "Clone a voice" }).click();
  const dialog = page.getByRole("dialog", { name: "Voices" });
  const recording = dialog.getByRole("group", { name: "Recording of the voice" });
  await recording.getByRole("button", { name: "Record", exact: true }).click();
  await recording.getByText("Recording. Speak…").waitFor();
  await page.waitForTimeout(RECORDING_MS);
  await recording.getByRole("button", { name: "Stop" }).click();
  // The words of the recording, from the browser's own format, by the mesh's speech-to-text.
  const words = dialog.getByRole("textbox", { name: /^Words/ });
  await expect.poll(() => words.inputValue()).toMatch(/weather/i);
  expect(await recording.textContent()).toMatch(/(Short|A good length) \(\d\.\d s\)/);
  await dialog.getByRole("textbox", { name: /^Name/ }).fill("Ana");
  await dialog.getByRole("textbox", { name: /^Person/ }).fill("Ana Silva");
  await dialog.getByRole("textbox", { name: /^Consent/ }).fill("I consent that this anchor speaks with my voice.");
  const sent = page.waitForRequest(
    (request) => request.method() === "POST" && request.url().endsWith("/v1/audio/voices"),
  );
  await dialog.getByRole("button", { name: "Add the voice" }).click();
  expect((await sent).headers()["content-type"]).toContain("multipart/form-data");
  await dialog.getByRole("alert").getByText("cannot clone voices").waitFor();
});
