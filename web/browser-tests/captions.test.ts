/** The captions on the console, of long replies of a language model that follows a script. */
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPage } from "./browser";
import { type Mesh, PROJECT, RUN, startMesh } from "./mesh";
import { openMonitor } from "./monitor";
import { question, silence, writeMicrophone } from "./recordings";
import { receivedMessages, sendMessage, waitForMessage, waitForPlayback } from "./tap_queries";

const FOLDER = `${RUN}captions`;
const SIZES = [
  { width: 844, height: 390 },
  { width: 320, height: 568 },
  { width: 390, height: 844 },
  { width: 1440, height: 900 },
] as const;
/** Of the second turn of a conversation; longer than the captions' part of the page at every size. */
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
    `[llm]\nreplies = ${JSON.stringify([SHORT_REPLY, LONG_REPLY])}\ntokens_per_second = 2000\n` +
      "[stt]\ntranscripts = ['how long does it take']\n[tts]\nms_per_character = 20\nreal_time_factor = 0.02\n",
  );
  mesh = await startMesh("captions/mesh", {
    STT_ENGINE: "scripted",
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
  await sendText(page, "How long does the ferry take?");
  await waitForMessage(page, "reply_finished");
  await sendText(page, "Tell me the long story.");
  await waitForMessage(page, "speech_mark", 30);
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

interface ParsedCue {
  startS: number;
  endS: number;
  text: string;
}

/** Presses a button that saves a file; returns the file's name and content. */
async function saved(page: Page, button: string): Promise<{ name: string; content: Buffer }> {
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: button }).click(),
  ]);
  return { name: download.suggestedFilename(), content: readFileSync(await download.path()) };
}

/** The cues of a WebVTT file as Chromium reads it: the voice of each is its title. */
async function vttCues(page: Page, vtt: string): Promise<(ParsedCue & { voice: string; lang: string })[]> {
  const blank = await page.context().newPage();
  return blank.evaluate(async (file) => {
    const element = document.createElement("track");
    element.src = `data:text/vtt;charset=utf-8,${encodeURIComponent(file)}`;
    document.body.appendChild(document.createElement("video")).append(element);
    const loaded = new Promise((done, fail) => {
      element.onload = done;
      element.onerror = () => {
        fail(new Error("Chromium refuses the file"));
      };
    });
    element.track.mode = "hidden";
    await loaded;
    return Array.from(element.track.cues ?? [], (cue) => {
      const html = (cue as VTTCue).getCueAsHTML();
      return {
        startS: cue.startTime,
        endS: cue.endTime,
        text: html.textContent,
        voice: html.querySelector("span[title]")?.getAttribute("title") ?? "",
        lang: html.querySelector("span[lang]")?.getAttribute("lang") ?? "",
      };
    });
  }, vtt);
}

/** The cues of a SubRip file as FFmpeg reads it. */
function srtCues(srt: Buffer): ParsedCue[] {
  const file = `${FOLDER}/export.srt`;
  writeFileSync(file, srt);
  const read = `
import av, json, sys
with av.open(sys.argv[1], format="srt") as container:
    packets = [packet for packet in container.demux() if packet.size]
    print(json.dumps([
        {"startS": float(each.pts * each.time_base), "endS": float((each.pts + each.duration) * each.time_base),
         "text": bytes(each).decode()} for each in packets]))`;
  return JSON.parse(
    execFileSync(`${PROJECT}.venv/bin/python`, ["-c", read, file], { encoding: "utf-8" }),
  ) as ParsedCue[];
}

test("the export is right after a reload and a change of the persona", async () => {
  const beganMs = Date.now();
  const { page } = await openPage(mesh.port);
  await sendText(page, "How long does the ferry take?");
  await waitForMessage(page, "reply_finished");
  await sendMessage(page, { type: "set_persona", persona: "night-host" });
  await waitForMessage(page, "session_updated");
  await page.reload();
  await waitForMessage(page, "turn_spoken");
  await sendText(page, "Tell me <the> long story.");
  await waitForPlayback(page, 2);
  await page.getByRole("button", { name: "Stop" }).click();
  await waitForMessage(page, "turn_spoken", 3);
  const names = page.locator(".said-anchor .who");
  const [first, second] = await names.allTextContents();
  expect(first).not.toBe(second);
  expect(await page.locator(".said-anchor .words").first().getAttribute("lang")).toBe("en");

  await openMonitor(page);
  const vtt = await saved(page, "WebVTT: save the transcript");
  const srt = await saved(page, "SRT: save the transcript");
  const json = await saved(page, "JSON: save the transcript");
  const text = await saved(page, "Text: save the transcript");
  expect(srt.name).toMatch(new RegExp(`^${second?.toLowerCase()}-\\d{4}-\\d\\d-\\d\\d-\\d{6}\\.srt$`));
  const cues = await vttCues(page, vtt.content.toString());
  const numbered = srtCues(srt.content);
  expect(numbered.map(({ text: words }) => words.replace("\n", " "))).toEqual(
    cues.map(({ voice, text: words }) => `${voice}: ${words.replace("\n", " ")}`.replace("<the>", "‹the›")),
  );
  for (const [index, cue] of cues.entries()) {
    expect(cue.endS).toBeGreaterThan(cue.startS);
    expect(cues[index + 1]?.startS ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(cue.endS - 0.001);
    expect(numbered[index]?.startS).toBeCloseTo(cue.startS, 2);
    expect(numbered[index]?.endS).toBeCloseTo(cue.endS, 2);
  }
  expect(cues[0]).toMatchObject({ startS: 0, voice: "You" });
  const voices = cues.map(({ voice }) => voice);
  expect([...new Set(voices)]).toEqual(["You", first, second]);
  expect(voices.lastIndexOf(first ?? "")).toBeLessThan(voices.indexOf(second ?? ""));
  expect(cues.find(({ voice }) => voice === first)?.lang).toBe("en");

  const { turns } = JSON.parse(json.content.toString()) as { turns: Record<string, unknown>[] };
  const times = turns.flatMap((turn) =>
    ["user_began_at", "user_ended_at", "reply_began_at", "reply_ended_at"].map((name) =>
      Date.parse(String(turn[name])),
    ),
  );
  expect(times).toEqual([...times].sort((one, other) => one - other));
  expect(times[0]).toBeGreaterThan(beganMs - 1000);
  expect(times.at(-1)).toBeLessThan(Date.now() + 1000);
  expect(turns[1]).toMatchObject({ persona: "night-host", speaker: second, interrupted: true });
  for (const { latency_ms: latency } of turns) {
    expect((latency as Record<string, number>)["first_sound"]).toSatisfy(
      (ms: number) => Number.isInteger(ms) && ms < 5000,
    );
  }
  expect(text.content.toString()).toMatch(
    /^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] You: How long does the ferry take\?\n\[/,
  );
});

test("what was misheard is corrected, and a reply is spoken again and goes on from the cut", async () => {
  const { page, context } = await openPage(mesh.port);
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  const turn = (id: number) => page.locator(`.turn[data-turn="${id}"]`);
  const words = (id: number) => turn(id).locator(".said-anchor .words").textContent();
  await sendText(page, "How long does the cake take?");
  await waitForMessage(page, "reply_finished");
  await turn(1).getByRole("button", { name: "Correct" }).click();
  const field = page.getByRole("textbox", { name: "What you said" });
  expect(await field.inputValue()).toBe("How long does the cake take?");
  await page.keyboard.press("Escape");
  await field.waitFor({ state: "hidden" });
  await turn(1).getByRole("button", { name: "Correct" }).click();
  await field.fill("How long does the ferry take?");
  await page.keyboard.press("Enter");
  await waitForMessage(page, "reply_finished", 2);
  await turn(1).getByText("corrected").waitFor();
  expect(await turn(1).locator("s").textContent()).toBe("How long does the cake take?");
  const history = await page.evaluate(async () => {
    const { ticket } = JSON.parse(localStorage.getItem("ai-anchor.preferences") ?? "{}") as { ticket: string };
    return (await (await fetch(`conversation/${ticket}`)).json()) as { messages: { role: string; text: string }[] };
  });
  expect(history.messages.map(({ text }) => text)).toEqual(["How long does the ferry take?", SHORT_REPLY]);

  await turn(2).getByRole("button", { name: "Copy" }).click();
  await turn(2).getByRole("button", { name: "Copied" }).waitFor();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toMatch(/^You: How long.*\n\w+: The ferry takes/);
  await turn(2).getByRole("button", { name: "Say again" }).click();
  await waitForMessage(page, "reply_finished", 3);
  expect(await words(3)).toBe(SHORT_REPLY);

  await sendText(page, "Tell me the long story.");
  await waitForMessage(page, "speech_mark", 60);
  await expect.poll(() => spokenWord(page)).not.toBeNull();
  await page.waitForTimeout(1500);
  await page.getByRole("button", { name: "Stop" }).click();
  await waitForMessage(page, "reply_finished", 4);
  const cut = (await turn(4).locator(".cut").textContent())?.trim() ?? "";
  expect(cut.length).toBeGreaterThan(100);
  await turn(4).getByRole("button", { name: "Go on" }).click();
  await waitForMessage(page, "reply_audio", 5);
  await expect.poll(() => words(5)).toBe(cut);
});

/** The samples of a WAV file with PCM16 mono. */
function wavSamples(wav: Buffer): { rateHz: number; samples: Int16Array } {
  expect([wav.toString("latin1", 0, 4), wav.toString("latin1", 8, 16)]).toEqual(["RIFF", "WAVEfmt "]);
  expect([wav.readUInt32LE(4), wav.readUInt32LE(40)]).toEqual([wav.length - 8, wav.length - 44]);
  const samples = new Int16Array(wav.buffer.slice(wav.byteOffset + 44, wav.byteOffset + wav.length));
  return { rateHz: wav.readUInt32LE(24), samples };
}

/** When a recording first sounds, in seconds. */
function onsetS({ rateHz, samples }: { rateHz: number; samples: Int16Array }): number {
  return samples.findIndex((sample) => Math.abs(sample) > 1000) / rateHz;
}

test("both sides are recorded in files that fit the subtitles", async () => {
  const microphone = writeMicrophone("recording", silence(1), question("demo"), silence(60));
  const { page } = await openPage(mesh.port, { microphone });
  page.setDefaultTimeout(30_000);
  await waitForMessage(page, "session_started");
  expect(await page.getByRole("group", { name: "Recording is on" }).count()).toBe(0);
  await openMonitor(page);
  await page.getByRole("button", { name: "Record both sides" }).click();
  const sign = page.getByRole("group", { name: "Recording is on" });
  await sign.waitFor();
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForPlayback(page, 1);
  await page.screenshot({ path: `${RUN}recording.png` });
  await waitForMessage(page, "reply_finished");
  // The microphone is closed, and the recording goes on.
  await page.keyboard.press("Space");
  await page.waitForTimeout(1000);
  await sign.getByRole("button", { name: "Stop" }).click();
  await sign.waitFor({ state: "hidden" });
  const [you, anchor, srt] = [
    await saved(page, "You (WAV)"),
    await saved(page, "Anchor (WAV)"),
    await saved(page, "Its SRT"),
  ];
  expect(you.name).toMatch(/^\w+-\d{4}-\d\d-\d\d-\d{6}-you\.wav$/);
  expect(anchor.name).toBe(you.name.replace("-you", "-anchor"));
  expect(srt.name).toBe(you.name.replace("-you.wav", ".srt"));
  const [mine, reply] = [wavSamples(you.content), wavSamples(anchor.content)];
  expect([mine.rateHz, reply.rateHz]).toEqual([16_000, 24_000]);
  expect(mine.samples.length / mine.rateHz).toBeCloseTo(reply.samples.length / reply.rateHz, 2);
  // The last second of the microphone is silence: it was closed.
  expect(mine.samples.slice(-8000).every((sample) => sample === 0)).toBe(true);
  const cues = srtCues(srt.content);
  const [asked, answered] = [
    cues.find(({ text }) => text.startsWith("You")),
    cues.find(({ text }) => !text.startsWith("You")),
  ];
  expect(Math.abs((asked?.startS ?? 0) - onsetS(mine))).toBeLessThan(0.5);
  expect(Math.abs((answered?.startS ?? 0) - onsetS(reply))).toBeLessThan(0.2);
});

test("a page with nothing but the captions follows the conversation and connects again by itself", async () => {
  const { page, context, link } = await openPage(mesh.port, { allowedErrors: /WebSocket connection|net::ERR_/ });
  await waitForMessage(page, "session_started");
  await openMonitor(page);
  await page.getByRole("button", { name: "Get its address" }).click();
  const address = await page.getByRole("textbox", { name: "Address of the caption page" }).inputValue();
  expect(address).toMatch(/\/captions\.html#key=watch_[\w-]{43}$/);
  const watching = await context.newPage();
  await watching.setViewportSize({ width: 1280, height: 720 });
  await watching.goto(address);
  const connected = () => watching.locator("body").getAttribute("data-connected");
  await page.bringToFront();
  await sendText(page, "How long does the ferry take?");
  const line = watching.locator(".line-anchor");
  await expect.poll(() => line.textContent(), { interval: 50 }).toMatch(/^The ferry takes/);
  expect(await line.getAttribute("data-speaker")).toBe("Nora");
  expect(await line.getAttribute("lang")).toBe("en");
  const ground = await watching.evaluate(() => getComputedStyle(document.body).backgroundColor);
  expect(ground).toBe("rgba(0, 0, 0, 0)");
  await waitForMessage(page, "reply_finished");
  link.disconnect();
  await expect.poll(connected).toBe("false");
  link.restore();
  await waitForMessage(page, "session_started", 2);
  await sendText(page, "Tell me the long story.");
  await expect.poll(() => line.textContent(), { interval: 50 }).toMatch(/^Sentence [3-9] of the long story/);
  await watching.screenshot({ path: `${RUN}caption-page.png`, omitBackground: true });
  // Nothing but captions arrives, and never the ticket.
  const types = await watching.evaluate(() => window.taps.received.map(({ type }) => type));
  expect(new Set(types)).toEqual(new Set(["caption"]));
  expect((await receivedMessages(watching, "caption")).length).toBeGreaterThan(5);
});

test("captions keep the size and contrast that were chosen", async () => {
  const { page } = await openPage(mesh.port, { colorScheme: "dark", viewport: SIZES[2] });
  await sendText(page, "How long does the ferry take?");
  await waitForMessage(page, "reply_finished");
  const words = page.locator(".said-anchor .words");
  const look = () =>
    words.evaluate((element) => {
      const { fontSize, color } = getComputedStyle(element);
      return { sizePx: Math.round(Number.parseFloat(fontSize)), color };
    });
  expect((await look()).sizePx).toBe(18);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByLabel("Size of the captions").selectOption("Largest");
  await page.getByLabel("Contrast of the captions").selectOption("High");
  await page.keyboard.press("Escape");
  await expect.poll(look).toEqual({ sizePx: 39, color: "rgb(255, 255, 255)" });
  await page.reload();
  await waitForMessage(page, "reply_text");
  await expect.poll(look).toEqual({ sizePx: 39, color: "rgb(255, 255, 255)" });
  await page.screenshot({ path: `${RUN}captions-largest.png` });
});
