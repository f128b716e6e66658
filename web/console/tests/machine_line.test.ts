import { expect, test } from "vitest";
import { machineLine } from "../src/machine_line";
import * as script from "./script";
import { play } from "./script";

const WHISPER = { service: "stt-service", engine: "whisper", model: "whisper-base", version: "4.8.1" };
const HIBARI = { service: "tts-service", engine: "hibari", model: "english", version: "1" };
const QWEN = { service: "language-model", engine: "ollama", model: "qwen3:8b" };

function lineOf(fields: Parameters<typeof script.systemStatus>[0]): string {
  return machineLine(play(script.systemStatus(fields)).services);
}

test("the line says what transcribes, speaks and answers", () => {
  expect(lineOf({ services: [WHISPER, HIBARI] })).toBe("Whisper base transcribes, hibari speaks, your notes answer.");
});

test("the language model is named", () => {
  expect(lineOf({ services: [WHISPER, HIBARI, QWEN] })).toBe(
    "Whisper base transcribes, hibari speaks, qwen3:8b answers.",
  );
});

test("engines without a size are named alone", () => {
  const services = [
    { service: "stt-service", engine: "pocketsphinx", model: "en-us" },
    { service: "tts-service", engine: "espeak", model: "espeak-ng" },
  ];
  expect(lineOf({ services })).toBe("PocketSphinx transcribes, eSpeak speaks, your notes answer.");
  const tiny = { service: "stt-service", engine: "whisper", model: "whisper-tiny.en" };
  expect(lineOf({ services: [tiny, HIBARI] })).toMatch(/^Whisper tiny\.en transcribes, hibari speaks,/);
});

test.for([
  ["espeak+hibari", "hibari and eSpeak speak"],
  ["espeak+hibari+kokoro", "hibari, Kokoro and eSpeak speak"],
] as const)("the voices of %s are named, eSpeak last", ([engine, words]) => {
  expect(lineOf({ services: [WHISPER, { service: "tts-service", engine }] })).toContain(`, ${words}, `);
});

test("there is no line before the engines are known", () => {
  expect(lineOf({})).toBe("");
  expect(lineOf({ services: [WHISPER, { service: "tts-service" }] })).toBe("");
});
