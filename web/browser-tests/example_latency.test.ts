/** Measures and prints the delays within the page; the bounds are wide and catch mistakes only. */
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { percentile, report } from "./measurements";
import { silence, writeMicrophone } from "./recordings";
import {
  captureToSocketMs,
  receivedMessages,
  sendMessage,
  socketToSpeakerMs,
  waitForMessage,
  waitForPlayback,
} from "./tap_queries";

const REPLIES = 12;

test("the page adds little delay to the microphone and to replies", async () => {
  const { page } = await openPage(inject("examplePort"), { microphone: writeMicrophone("silence", silence(60)) });
  // What the microphone hears before the session is open is not sent, and would shift the frames.
  await waitForMessage(page, "session_started");
  await page.getByRole("button", { name: "Talk" }).click();
  for (let reply = 1; reply <= REPLIES; reply += 1) {
    await sendMessage(page, { type: "text_input", text: "Who are you?" });
    await waitForMessage(page, "reply_audio", reply);
    await waitForPlayback(page, 0.3 * reply);
    await sendMessage(page, { type: "interrupt" });
    await waitForMessage(page, "reply_finished", reply);
  }
  const up = await captureToSocketMs(page);
  const down = await socketToSpeakerMs(page);
  const latencyMs = await page.evaluate(() => window.taps.speaker.latencyMs);
  report("microphone frame: last sample to socket", up);
  report("reply: first audio on the socket to first sample rendered", down);
  report("output latency after that, reported by the browser", [latencyMs]);
  expect(await receivedMessages(page, "error")).toEqual([]);
  expect(up.length).toBeGreaterThan(100);
  expect(down.length).toBe(REPLIES);
  expect(percentile(up, 0.5)).toBeLessThan(150);
  expect(percentile(down, 0.5)).toBeLessThan(300);
});
