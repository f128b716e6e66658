/** Audio of a conversation on the client library's example page. */
import { readFileSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { EVERY_CASE, openPage } from "./browser";
import { report } from "./measurements";
import { PROJECT } from "./mesh";
import { question, silence, writeMicrophone } from "./recordings";
import {
  audibleQuanta,
  comparePlayback,
  interruptedReply,
  receivedMessages,
  voiceOnset,
  waitForMessage,
  waitForPlayback,
} from "./tap_queries";

const FADE_AND_RENDERING_MS = 250;
const port = inject("examplePort");

test.for(EVERY_CASE ? [48_000, 44_100] : [44_100])(
  "a spoken turn plays as it was sent, on a %d Hz device",
  async (deviceHz) => {
    const wav = writeMicrophone("one-question", silence(1), question("demo"), silence(40));
    const { page } = await openPage(port, { microphone: wav, deviceHz });
    await page.getByRole("button", { name: "Talk" }).click();
    await waitForMessage(page, "turn_committed");
    await waitForPlayback(page, 3);
    const captions = page.getByRole("list", { name: "Captions" }).getByRole("listitem");
    expect(await captions.count()).toBe(2);
    const weather = readFileSync(`${PROJECT}content/knowledge/weekend-weather.md`, "utf-8").replace(/\s+/g, " ");
    const reply = (await captions.nth(1).textContent()) ?? "";
    const quoted = reply.split(/(?<=\.) /).filter((sentence) => weather.includes(sentence));
    expect(quoted.length).toBeGreaterThan(0);
    const { samples, difference, broken } = await comparePlayback(page);
    expect(samples).toBeGreaterThan(2.5 * 24_000);
    expect(difference).toBeLessThan(0.0001);
    expect(broken).toBe(0);
    expect(await page.evaluate(() => window.taps.microphone.rateHz)).toBe(deviceHz);
    expect(await receivedMessages(page, "error")).toEqual([]);
  },
);

test("barge-in silences the speaker and gets a reply", async () => {
  const wav = writeMicrophone("barge-in", silence(1), question("demo"), silence(5), question("ferry"), silence(40));
  const { page } = await openPage(port, { microphone: wav });
  await page.getByRole("button", { name: "Talk" }).click();
  await expect.poll(() => interruptedReply(page)).not.toBeNull();
  const interrupted = await interruptedReply(page);
  if (!interrupted) throw new Error("the reply was not interrupted");
  const { silenced, next } = interrupted;
  const audible = await audibleQuanta(page);
  const last = audible.filter(({ now }) => now < next.now).at(-1)?.now ?? 0;
  expect(last - silenced.now).toBeLessThan(FADE_AND_RENDERING_MS);
  const onset = await voiceOnset(page, silenced.now);
  expect(last - onset).toBeLessThan(1000);
  report("from voice over the reply to silence at the speaker", [last - onset]);
  const answer = page.getByRole("listitem").last();
  await expect.poll(() => answer.textContent()).toMatch(/ferry/i);
});

test("a denied microphone is reported, and the page keeps working", async () => {
  const { page } = await openPage(port, { allowMicrophone: false });
  await page.getByRole("button", { name: "Talk" }).click();
  await expect.poll(() => page.getByRole("status").textContent()).toMatch(/denied/i);
  expect(await page.getByRole("button", { name: "Talk" }).isEnabled()).toBe(true);
});

test("the library's README shows the example unchanged", () => {
  const folder = `${PROJECT}web/client/`;
  const [, code] = readFileSync(`${folder}example/main.ts`, "utf-8").split(/^(?=import )/m);
  expect(readFileSync(`${folder}README.md`, "utf-8")).toContain(`\`\`\`ts\n${code ?? "nothing"}\`\`\``);
});
