/** What is heard of a talk, on the example of the client library. */
import { readFileSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { visit } from "./browser";
import { fidelity, messages, sounding, soundsFor, until, voiceOnset } from "./hearing";
import { PROJECT } from "./mesh";
import { microphone, question, silence } from "./recordings";
import { report } from "./report";

const FADE_AND_RENDERING_MS = 250;
const port = inject("examplePort");

test.for([48_000, 44_100])("a spoken turn is heard as it was sent, on a device of %d Hz", async (deviceHz) => {
  const wav = microphone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await visit(port, { microphone: wav, deviceHz });
  await page.getByRole("button", { name: "Talk" }).click();
  await until(page, "turn_committed");
  await soundsFor(page, 3);
  const captions = page.getByRole("list", { name: "Captions" }).getByRole("listitem");
  expect(await captions.count()).toBe(2);
  const weather = readFileSync(`${PROJECT}content/knowledge/weekend-weather.md`, "utf-8").replace(/\s+/g, " ");
  const reply = (await captions.nth(1).textContent()) ?? "";
  const told = reply.split(/(?<=\.) /).filter((sentence) => weather.includes(sentence));
  expect(told.length).toBeGreaterThan(0);
  const { samples, difference, broken } = await fidelity(page);
  expect(samples).toBeGreaterThan(2.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  expect(await page.evaluate(() => window.taps.microphone.rateHz)).toBe(deviceHz);
  expect(await messages(page, "error")).toEqual([]);
});

test("speaking over the reply silences the speaker, and is answered", async () => {
  const wav = microphone("barge-in", silence(1), question("demo"), silence(5), question("ferry"), silence(40));
  const { page } = await visit(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk" }).click();
  await until(page, "playback_stop");
  await until(page, "reply_audio", 2);
  await soundsFor(page, 3);
  const [pause] = await messages(page, "playback_pause");
  const [stop] = await messages(page, "playback_stop");
  const [, second] = await messages(page, "reply_audio");
  if (!pause || !stop || !second) throw new Error("the reply was not interrupted");
  const sounded = await sounding(page);
  const last = sounded.filter(({ now }) => now < second.now).at(-1)?.now ?? 0;
  expect(last - pause.now).toBeLessThan(FADE_AND_RENDERING_MS);
  expect(stop.turnId).toBe(pause.turnId);
  const onset = await voiceOnset(page, pause.now);
  expect(last - onset).toBeLessThan(1000);
  report("from a voice over the reply to silence at the speaker", [last - onset]);
  const [, , , answer] = await page.getByRole("listitem").allTextContents();
  expect(answer).toMatch(/ferry/i);
});

test("a microphone that is refused is told of, and nothing else breaks", async () => {
  const { page } = await visit(port, { allows: false });
  await page.getByRole("button", { name: "Talk" }).click();
  await expect.poll(() => page.getByRole("status").textContent()).toMatch(/denied/i);
  expect(await page.getByRole("button", { name: "Talk" }).isEnabled()).toBe(true);
});

test("the library's README shows the example as it is", () => {
  const folder = `${PROJECT}web/client/`;
  const [, code] = readFileSync(`${folder}example/main.ts`, "utf-8").split(/^(?=import )/m);
  expect(readFileSync(`${folder}README.md`, "utf-8")).toContain(`\`\`\`ts\n${code ?? "nothing"}\`\`\``);
});
