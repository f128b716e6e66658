/**
 * A person clones a voice on the page: records it with the microphone, hears it, talks with it and deletes it, and no
 * trace of it stays on the disk. The engine learns one frequency from a recording, and speaks at it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openPage } from "./browser";
import { type Mesh, RUN, startMesh } from "./mesh";
import { question, RATE_HZ, silence, writeMicrophone } from "./recordings";
import { receivedMessages, waitForMessage } from "./tap_queries";

const FOLDER = `${RUN}clone`;
const VOICES = `${FOLDER}/voices`;
const PERSON = "Ana Silva";
const RECORDING_MS = 4500;
/** The engine's own voice. */
const OWN_HZ = 220;
const SPEECH_HZ = 24_000;

let mesh: Mesh;

beforeAll(async () => {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(`${FOLDER}/tmp`, { recursive: true });
  const script = `${FOLDER}/script.toml`;
  const reply = "The ferry takes twenty minutes to the island.";
  writeFileSync(script, `[llm]\nreplies = ["${reply}"]\n[tts]\nvoices = ${JSON.stringify(VOICES)}\n`);
  // All temporary files of the mesh are in a folder of its own.
  mesh = await startMesh("clone/mesh", {
    TTS_ENGINE: "scripted",
    ORCHESTRATOR_LLM: "scripted",
    ANCHOR_SCRIPT: script,
    TMPDIR: `${FOLDER}/tmp`,
  });
});

afterAll(async () => {
  await mesh.stop();
});

test("a voice is recorded, heard, used in a turn, and deleted without a trace on the disk", async () => {
  const wav = writeMicrophone("clone", silence(0.3), question("demo"), silence(60));
  const recordedHz = strongestHz(question("demo"), RATE_HZ);
  expect(Math.abs(recordedHz - OWN_HZ)).toBeGreaterThan(20);
  const { page } = await openPage(mesh.port, { microphone: wav });
  await waitForMessage(page, "session_started");
  const dialog = await openVoices(page);
  await record(page, dialog.getByRole("group", { name: "Recording of the voice" }));
  const words = dialog.getByRole("textbox", { name: /^Words/ });
  await expect.poll(() => words.inputValue()).toMatch(/weather/i);
  await dialog.getByRole("textbox", { name: /^Name/ }).fill("Ana");
  await dialog.getByRole("textbox", { name: /^Person/ }).fill(PERSON);
  await record(page, dialog.getByRole("group", { name: "Spoken consent" }));
  const transcript = await words.inputValue();
  await dialog.getByRole("button", { name: "Add the voice" }).click();
  const added = dialog.getByRole("listitem", { name: "Ana" });
  await added.getByText(`with the consent of ${PERSON}`).waitFor();

  // What is on the disk: the voice with its words, what was learned, the consent with its recording.
  const [voice = ""] = readdirSync(VOICES);
  expect(readdirSync(join(VOICES, voice)).sort()).toEqual(["consent.json", "consent.wav", "pitch.npy", "voice.json"]);
  const consent = readFileSync(join(VOICES, voice, "consent.wav"));
  const learnedHz = readFileSync(join(VOICES, voice, "pitch.npy")).readInt16LE(128);
  expect(Math.abs(learnedHz - recordedHz)).toBeLessThan(5);
  const marks = [PERSON, voice, transcript, storedTranscript(voice)];
  const secrets = [
    ...marks.map((mark) => Buffer.from(mark)),
    consent.subarray(consent.length / 2, consent.length / 2 + 400),
  ];
  expect(secrets.every((secret) => secret.length > 8)).toBe(true);
  const inVoices = tracesOf(secrets).filter((path) => path.startsWith(VOICES));
  expect(inVoices.length).toBeGreaterThanOrEqual(4);

  await added.getByRole("button", { name: "Hear" }).click();
  const heard = await playedSound(page);
  expect(heard.seconds).toBeGreaterThan(1);
  expect(heard.peak).toBeGreaterThan(0.05);
  expect(Math.abs(strongestHz(heard.pcm, heard.rateHz) - learnedHz)).toBeLessThan(3);

  await added.getByRole("button", { name: "Use" }).click();
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  expect(Math.abs((await pitchOfReply(page, "How long does the ferry take?", 1)) - learnedHz)).toBeLessThan(3);

  const again = await openVoices(page);
  const row = again.getByRole("listitem", { name: "Ana" });
  await row.getByRole("button", { name: "Delete" }).click();
  await row.getByRole("button", { name: "Delete Ana and the consent" }).click();
  await row.waitFor({ state: "detached" });
  expect(readdirSync(VOICES)).toEqual([]);
  expect(filesBelow(`${FOLDER}/tmp`)).toEqual([]);
  expect(tracesOf(secrets)).toEqual([]);

  // The session that used it goes on in the engine's own voice.
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  const reply = await pitchOfReply(page, "Is the library open this evening?", 2);
  expect(Math.abs(reply - OWN_HZ)).toBeLessThan(3);
});

async function openVoices(page: Page): Promise<Locator> {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("button", { name: "Clone a voice" }).click();
  return page.getByRole("dialog", { name: "Voices" });
}

async function record(page: Page, group: Locator): Promise<void> {
  await group.getByRole("button", { name: "Record", exact: true }).click();
  await group.getByText("Recording. Speak…").waitFor();
  await page.waitForTimeout(RECORDING_MS);
  await group.getByRole("button", { name: "Stop" }).click();
  await group.getByText(/\(\d\.\d s\)/).waitFor();
}

/** What the page plays outside the conversation, once it is over. */
async function playedSound(page: Page): Promise<{ seconds: number; peak: number; rateHz: number; pcm: Buffer }> {
  const player = () => page.evaluate(() => window.taps.player.quanta.map(({ peak }) => peak));
  await expect.poll(async () => (await player()).some((peak) => peak > 0.05)).toBe(true);
  // At its end the context is closed, and nothing comes any more.
  let before = -1;
  await expect
    .poll(
      async () => {
        const count = (await player()).length;
        const isOver = count === before;
        before = count;
        return isOver;
      },
      { interval: 500 },
    )
    .toBe(true);
  const { rateHz, samples } = await page.evaluate(() => {
    const { rateHz, samples } = window.taps.player;
    return { rateHz, samples: samples.flatMap((run) => Array.from(run)) };
  });
  const first = samples.findIndex((sample) => sample !== 0);
  const sound = samples.slice(first, samples.findLastIndex((sample) => sample !== 0) + 1);
  const peak = sound.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
  return { seconds: sound.length / rateHz, peak, rateHz, pcm: pcmOf(sound) };
}

/** The frequency of the speech that answers a written question, the `number`th of the session. */
async function pitchOfReply(page: Page, text: string, number: number): Promise<number> {
  const before = await page.evaluate(() => window.taps.received.length);
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill(text);
  await page.keyboard.press("Enter");
  await expect.poll(async () => (await receivedMessages(page, "reply_finished")).length).toBe(number);
  const samples = await page.evaluate(
    (from) => window.taps.received.slice(from).flatMap(({ pcm }) => (pcm ? Array.from(pcm) : [])),
    before,
  );
  expect(samples.length).toBeGreaterThan(SPEECH_HZ);
  return strongestHz(pcmOf(samples.map((sample) => sample / 32_768)), SPEECH_HZ);
}

function storedTranscript(voice: string): string {
  return (JSON.parse(readFileSync(join(VOICES, voice, "voice.json"), "utf-8")) as { transcript: string }).transcript;
}

function filesBelow(folder: string): string[] {
  const found = readdirSync(folder, { recursive: true, encoding: "utf-8" }).map((path) => join(folder, path));
  return found.filter((path) => statSync(path).isFile());
}

/** The files of the mesh, logs and temporary files included, whose path or content has one of the secrets. */
function tracesOf(secrets: readonly Buffer[]): string[] {
  return filesBelow(FOLDER).filter((path) => {
    const content = readFileSync(path);
    return secrets.some((secret) => content.includes(secret) || path.includes(secret.toString("latin1")));
  });
}

/** PCM16 of samples, -1 to 1. */
function pcmOf(samples: readonly number[]): Buffer {
  return Buffer.from(Int16Array.from(samples, (sample) => Math.round(sample * 32_767)).buffer);
}

/** The strongest frequency of PCM16, from 60 to 1000 Hz, in steps of 1 Hz. */
function strongestHz(pcm: Buffer, rateHz: number): number {
  const samples = Array.from({ length: pcm.length / 2 }, (_, index) => pcm.readInt16LE(index * 2));
  const power = (hz: number): number => {
    // Goertzel's recurrence.
    const coefficient = 2 * Math.cos((2 * Math.PI * hz) / rateHz);
    let last = 0;
    let before = 0;
    for (const sample of samples) [last, before] = [sample + coefficient * last - before, last];
    return last * last + before * before - coefficient * last * before;
  };
  const powers = Array.from({ length: 941 }, (_, index) => power(60 + index));
  return 60 + powers.indexOf(Math.max(...powers));
}
