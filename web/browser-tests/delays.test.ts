/** How long sound takes within the page: measured and told, and held to bounds that only a mistake exceeds. */
import { expect, inject, test } from "vitest";
import { visit } from "./browser";
import { captureToSocket, messages, percentile, say, soundsFor, socketToSpeaker, until } from "./hearing";
import { microphone, silence } from "./recordings";
import { report } from "./report";

const REPLIES = 12;

test("the page adds little to what is said and to what is heard", async () => {
  const { page } = await visit(inject("examplePort"), { microphone: microphone("nobody", silence(60)) });
  await page.getByRole("button", { name: "Talk" }).click();
  await until(page, "session_started");
  for (let reply = 1; reply <= REPLIES; reply += 1) {
    await say(page, { type: "text_input", text: "Who are you?" });
    await until(page, "reply_audio", reply);
    await soundsFor(page, 0.3 * reply);
    await say(page, { type: "interrupt" });
    await until(page, "reply_finished", reply);
  }
  const up = await captureToSocket(page);
  const down = await socketToSpeaker(page);
  const latencyMs = await page.evaluate(() => window.taps.speaker.latencyMs);
  report("a microphone's frame, from its last sample to the socket", up);
  report("a reply's first audio, from the socket to the first sample rendered", down);
  report("from there to the ear, by the browser's word", [latencyMs]);
  expect(await messages(page, "error")).toEqual([]);
  expect(up.length).toBeGreaterThan(100);
  expect(down.length).toBe(REPLIES);
  expect(percentile(up, 0.5)).toBeLessThan(150);
  expect(percentile(down, 0.5)).toBeLessThan(300);
});
