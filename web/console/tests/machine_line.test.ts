import { expect, test } from "vitest";
import { machineLine } from "../src/machine_line";
import * as script from "./script";
import { play } from "./script";

const WHISPER = { service: "stt-service", engine: "whisper", model: "whisper-base", version: "4.8.1" };
const HIBARI = { service: "tts-service", engine: "hibari", model: "english", version: "1" };
const QWEN = { service: "language-model", engine: "ollama", model: "qwen3:8b" };

function lineOf(fields: Parameters<typeof script.systemStatus>[0]): string {
  const { services, gpu } = play(script.systemStatus(fields));
  return machineLine(services, gpu);
}

test("the line names ears, voice and answers, and what a GPU would add", () => {
  expect(lineOf({ services: [WHISPER, HIBARI] })).toBe(
    "This machine: Whisper base, hibari voice, answers from the notes. " +
      "A GPU would add a larger language model and more expressive voices.",
  );
});

test("the line names the language model, and nothing to add where there is a GPU", () => {
  expect(lineOf({ services: [WHISPER, HIBARI, QWEN], gpu: { present: true } })).toBe(
    "This machine: Whisper base, hibari voice, qwen3:8b.",
  );
});

test("engines without a size are named alone", () => {
  const services = [
    { service: "stt-service", engine: "pocketsphinx", model: "en-us" },
    { service: "tts-service", engine: "espeak", model: "espeak-ng" },
  ];
  expect(lineOf({ services })).toMatch(/^This machine: PocketSphinx, eSpeak voice, answers from the notes\./);
  const tiny = { service: "stt-service", engine: "whisper", model: "whisper-tiny.en" };
  expect(lineOf({ services: [tiny, HIBARI] })).toMatch(/^This machine: Whisper tiny\.en, hibari voice/);
});

test("several voices are named, eSpeak last", () => {
  const voices = { service: "tts-service", engine: "espeak+hibari" };
  expect(lineOf({ services: [WHISPER, voices] })).toMatch(/^This machine: Whisper base, hibari and eSpeak voices, /);
});

test("there is no line before the engines are known", () => {
  expect(lineOf({})).toBe("");
  expect(lineOf({ services: [WHISPER, { service: "tts-service" }] })).toBe("");
});
