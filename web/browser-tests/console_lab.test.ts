/** The monitor's tools: a recording in the place of the microphone, event log, settings to try, network, export. */
import { readFileSync } from "node:fs";
import type { Download, Locator, Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { PROJECT, RUN } from "./mesh";
import { openMonitor } from "./monitor";
import { waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");

/** Opens a part of the monitor; its code is loaded then. */
async function openDrawer(page: Page, title: string): Promise<Locator> {
  const drawer = page.locator("details").filter({ has: page.getByRole("heading", { name: title, exact: true }) });
  await drawer.locator("summary").click();
  return drawer;
}

async function saved(page: Page, button: Locator): Promise<{ name: string; text: string }> {
  const downloading: Promise<Download> = page.waitForEvent("download");
  await button.click();
  const download = await downloading;
  return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf-8") };
}

test("a recording is heard as if spoken, under two settings side by side, and all of it is exported", async () => {
  const { page } = await openPage(port);
  await waitForMessage(page, "session_started");
  await openMonitor(page);
  const recording = await openDrawer(page, "Play a recording");
  await recording.getByLabel("WAV file").setInputFiles(`${PROJECT}content/questions/demo.wav`);
  const play = recording.getByRole("button", { name: "Play as if spoken" });
  const sign = page.getByRole("status", { name: "Recording" });

  await play.click();
  await expect.poll(() => sign.textContent()).toMatch(/demo\.wav/);
  await waitForMessage(page, "turn_committed");
  // The silence that follows does not keep the microphone out.
  await sign.waitFor({ state: "hidden", timeout: 2000 });
  await waitForPlayback(page, 1);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await waitForMessage(page, "reply_finished");

  const trial = await openDrawer(page, "Settings to try");
  await trial.getByRole("radio", { name: "Setting B" }).check();
  await trial.getByRole("combobox", { name: "Wait for the end of a turn" }).selectOption("2");
  await trial.getByRole("combobox", { name: "Speech that stops a reply" }).selectOption("300");
  await waitForMessage(page, "session_updated", 6);
  expect(await trial.getByRole("combobox", { name: "Speech that stops a reply" }).inputValue()).toBe("300");
  await play.click();
  await waitForMessage(page, "turn_committed", 2);
  await waitForMessage(page, "latency_waterfall", 3);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await waitForMessage(page, "reply_finished", 2);
  const turns = trial.locator(".latency-table tbody tr").first().locator("td");
  expect(await turns.allTextContents()).toEqual(["1", "1"]);

  const log = await openDrawer(page, "Event log");
  await log.locator(".log-text").first().waitFor();
  const events = await log.locator(".log-text").allTextContents();
  expect(events).toContainEqual(expect.stringMatching(/^Turn over: “/));
  expect(events).toContain("Recording begins: demo.wav");
  expect(events.filter((text) => text.startsWith("Heard so far")).length).toBeLessThan(8);
  await log.getByRole("checkbox", { name: "Turns" }).uncheck();
  expect(await log.locator(".log-row.log-reply").count()).toBeGreaterThan(0);
  expect(await log.locator(".log-row.log-turn").count()).toBe(0);

  const network = await openDrawer(page, "Sound and network");
  await expect.poll(() => network.locator(".figures dd").first().textContent()).toMatch(/^\d+ ms$/);
  expect(await network.textContent()).toMatch(/from sent to heard: \d+ ms/);
  await page.screenshot({ path: `${RUN}console-lab.png` });

  const measurements = await openDrawer(page, "Save the measurements");
  const json = await saved(page, measurements.getByRole("button", { name: /^JSON/ }));
  expect(json.name).toBe("measurements.json");
  const exported = JSON.parse(json.text) as { turns: Record<string, unknown>[]; network: { round_trip: unknown } };
  expect(exported.turns.map(({ kind, setting }) => [kind, setting])).toEqual([
    ["spoken", "A"],
    ["spoken", "B"],
  ]);
  expect(exported.turns[1]).toMatchObject({ patience: 2, barge_in_stop_ms: 300 });
  expect(exported.turns[1]?.["wait_ms"]).toBeGreaterThan(0);
  expect(exported.network.round_trip).not.toBeNull();
  const csv = await saved(page, measurements.getByRole("button", { name: /^CSV/ }));
  expect(csv.text.trim().split("\r\n")).toHaveLength(3);
});
