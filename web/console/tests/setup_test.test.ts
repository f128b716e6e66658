import { expect, test } from "vitest";
import { findings, measured } from "../src/setup_test";

const TRAITS = { label: "Desk", deviceId: "d", echoCancellation: true, contextHz: 48_000 };

// A tone in every third frame, noise in the others: words and the room between them.
function frames(voice: number, noise: number): Int16Array[] {
  return Array.from({ length: 150 }, (_, frame) =>
    Int16Array.from({ length: 320 }, (_, at) => {
      const amplitude = frame % 3 === 0 ? voice : noise;
      return Math.round(Math.sin(at / 3) * amplitude * 32767);
    }),
  );
}

function told(voice: number, noise: number, traits: Parameters<typeof findings>[1] = TRAITS): string {
  return findings(measured(frames(voice, noise)), traits)
    .map(({ well, text }) => `${well ? "+" : "-"} ${text}`)
    .join("\n");
}

test("levels are those of the voice and of the room between its words", () => {
  const { voiceDb, noiseDb, peakDb } = measured(frames(0.5, 0.001));
  expect(voiceDb).toBeCloseTo(-9, 0);
  expect(noiseDb).toBeCloseTo(-63, 0);
  expect(peakDb).toBeCloseTo(-6, 0);
});

test("a good setup is told to be good in every point", () => {
  expect(told(0.3, 0.0005)).toBe(
    "+ Your voice is clear (-13 dB).\n+ The room is quiet (-69 dB).\n" +
      "+ The sound comes at 48 kHz, and goes out at 16 kHz.\n+ Echo is cancelled: you may use loudspeakers.",
  );
});

test("what is wrong is told with what to do", () => {
  expect(told(0, 0)).toContain("- Nothing was heard.");
  expect(told(0.01, 0.0001)).toContain("- Your voice is quiet");
  expect(told(1, 0.001)).toContain("- Your voice is too loud");
  expect(told(0.3, 0.02)).toContain("- There is noise around you");
  expect(told(0.1, 0.1)).toContain("- No voice stood out");
  expect(told(0.3, 0.001, { ...TRAITS, contextHz: 8000 })).toContain("- The sound comes at 8 kHz, like a telephone");
  expect(told(0.3, 0.001, { ...TRAITS, echoCancellation: false })).toContain("- Echo is not cancelled.");
  expect(told(0.3, 0.001, { ...TRAITS, echoCancellation: undefined })).toContain("- The browser does not say");
});

test("no frames are nothing heard", () => {
  expect(findings(measured([]), TRAITS)[0]).toMatchObject({ well: false });
});
