/** The microphone's truth: whatever a prompt, socket, tab, server, machine or device does, a closed track is closed. */
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openPage, openTab } from "./browser";
import { question, silence, writeMicrophone } from "./recordings";
import { microphoneTrack, receivedMessages, sentCount, waitForMessage } from "./tap_queries";

const port = inject("meshPort");
const CONNECTION_ERRORS = /WebSocket connection to .* failed|net::ERR_/;
const STOPPED = { state: "ended" };
const MUTED = { state: "live", enabled: false };
const ON = { state: "live", enabled: true };
// Somebody who never stops talking, so that a hot microphone is heard within a moment.
const TALKER = Array.from({ length: 12 }, () => [question("ferry"), silence(0.8)]).flat();

const body = (page: Page, name: string): Promise<string | null> => page.locator("body").getAttribute(`data-${name}`);
const talk = (page: Page) => page.locator("[data-talk]");

async function openTalkerPage(name: string, allowedErrors?: RegExp) {
  const opened = await openPage(port, {
    microphone: writeMicrophone(name, silence(0.2), ...TALKER),
    ...(allowedErrors ? { allowedErrors } : {}),
  });
  await waitForMessage(opened.page, "session_started");
  return opened;
}

/** Expects that in a second of speech, which is fifty frames, none leaves, and no turn is ended. */
async function expectNothingSent(page: Page): Promise<void> {
  const sent = async () => [await sentCount(page, ""), await sentCount(page, "end_turn")];
  const before = await sent();
  await page.waitForTimeout(1000);
  expect(await sent()).toEqual(before);
}

test("push-to-talk: a first press before the permission, a tap, and a turn", async () => {
  const { page } = await openTalkerPage("press");
  await page.getByRole("group", { name: "How to talk" }).getByText("Push to talk").click();
  await page.getByRole("heading", { name: "AI Anchor" }).click();
  await waitForMessage(page, "session_started", 2);

  // The user lets go of the button to answer the prompt.
  await page.evaluate(() => (window.taps.permissionMs = 1000));
  await page.keyboard.down("Space");
  await expect.poll(() => body(page, "microphone")).toBe("starting");
  await page.keyboard.up("Space");
  await expect.poll(() => body(page, "microphone")).toBe("muted");
  expect(await microphoneTrack(page)).toEqual(MUTED);
  expect(await page.getByRole("alert").textContent()).toBe("Hold the button while you speak.");
  await expectNothingSent(page);

  await page.keyboard.press("Space", { delay: 80 });
  expect(await microphoneTrack(page)).toEqual(MUTED);
  await expectNothingSent(page);
  expect([await sentCount(page, ""), await sentCount(page, "end_turn")]).toEqual([0, 0]);
  expect([await receivedMessages(page, "speech_started"), await receivedMessages(page, "reply_started")]).toEqual([
    [],
    [],
  ]);
  expect([await body(page, "state"), await page.title()]).toEqual(["idle", "AI Anchor"]);

  await page.keyboard.down("Space");
  await expect.poll(() => page.title()).toBe("● Microphone on · AI Anchor");
  expect(await microphoneTrack(page)).toEqual(ON);
  await page.waitForTimeout(2500);
  await page.keyboard.up("Space");
  await expect.poll(() => microphoneTrack(page)).toEqual(MUTED);
  await waitForMessage(page, "turn_committed");
  expect(await page.getByRole("alert").count()).toBe(0);
  expect(await body(page, "state")).not.toBe("user-speaking");
});

test("an open microphone: a late permission, an unplugged device, a sleeping machine, a page that is left", async () => {
  const { page } = await openTalkerPage("open");
  const openMicrophone = async () => {
    await page.getByRole("button", { name: "Talk", exact: true }).click();
    await expect.poll(() => body(page, "microphone")).toBe("on");
    expect(await microphoneTrack(page)).toEqual(ON);
  };

  await page.evaluate(() => (window.taps.permissionMs = 800));
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect.poll(() => microphoneTrack(page)).toMatchObject(STOPPED);
  expect([await body(page, "microphone"), await sentCount(page, "")]).toEqual(["off", 0]);
  await page.evaluate(() => (window.taps.permissionMs = 0));

  await openMicrophone();
  await page.evaluate(() => window.taps.tracks.at(-1)?.dispatchEvent(new Event("mute")));
  await expect.poll(() => body(page, "microphone")).toBe("muted");
  await expectNothingSent(page);
  await page.evaluate(() => window.taps.tracks.at(-1)?.dispatchEvent(new Event("unmute")));
  await expect.poll(() => body(page, "microphone")).toBe("on");
  await page.evaluate(() => window.taps.tracks.at(-1)?.dispatchEvent(new Event("ended")));
  expect(await microphoneTrack(page)).toMatchObject(STOPPED);
  await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/unplugged/);
  await expectNothingSent(page);

  await openMicrophone();
  await page.evaluate(() => {
    const now = Date.now.bind(Date);
    Date.now = () => now() + 3_600_000;
  });
  await expect.poll(() => microphoneTrack(page)).toMatchObject(STOPPED);
  await expect.poll(() => page.getByRole("alert").textContent()).toMatch(/asleep/);

  await openMicrophone();
  // The browser's tools cannot freeze a page that records.
  await page.evaluate(() => document.dispatchEvent(new Event("freeze")));
  expect(await microphoneTrack(page)).toMatchObject(STOPPED);
  await expect.poll(() => body(page, "microphone")).toBe("off");

  await openMicrophone();
  await page.evaluate(() => window.dispatchEvent(new Event("pagehide")));
  expect(await microphoneTrack(page)).toMatchObject(STOPPED);
  await expectNothingSent(page);
});

test("a conversation that is taken over stops the microphone, and comes back without it", async () => {
  const { page, context, link } = await openTalkerPage("taken-over");
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => sentCount(page, "")).toBeGreaterThan(25);
  const second = await openTab(context, link);
  await second.page.getByRole("button", { name: "Take it over here" }).click();
  await expect.poll(() => microphoneTrack(page)).toMatchObject(STOPPED);
  await expect.poll(() => page.title()).toBe("Off air · AI Anchor");
  await expectNothingSent(page);
  expect(await page.locator(".activity").textContent()).toBe("Off air. Take it over here to go on.");

  await page.getByRole("button", { name: "Take it over here" }).click();
  await expect.poll(() => body(page, "connection")).toBe("open");
  await expect.poll(() => body(page, "microphone")).toBe("off");
  await expectNothingSent(page);
});

test("a lost connection mutes the microphone, which closes meanwhile and stays closed", async () => {
  const { page, link } = await openTalkerPage("lost", CONNECTION_ERRORS);
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => sentCount(page, "")).toBeGreaterThan(25);
  link.disconnect();
  await expect.poll(() => body(page, "microphone")).toBe("muted");
  expect(await microphoneTrack(page)).toEqual(MUTED);
  expect(await page.title()).toBe("Reconnecting · AI Anchor");
  const frames = await sentCount(page, "");
  link.restore();
  await expect.poll(() => body(page, "microphone")).toBe("on");
  // Two seconds of the break, and what follows.
  await expect.poll(() => sentCount(page, "")).toBeGreaterThan(frames + 90);

  link.disconnect();
  await expect.poll(() => body(page, "connection")).toBe("reconnecting");
  expect(await talk(page).isEnabled()).toBe(true);
  await talk(page).click();
  expect(await microphoneTrack(page)).toMatchObject(STOPPED);
  const closedAt = await sentCount(page, "");
  link.restore();
  await expect.poll(() => body(page, "connection")).toBe("open");
  await expectNothingSent(page);
  expect([await body(page, "microphone"), await sentCount(page, "")]).toEqual(["off", closedAt]);
});
