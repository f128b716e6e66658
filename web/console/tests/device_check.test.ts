import { expect, test } from "vitest";
import { checkDevice, measureLevels } from "../src/device_check";

const SETTINGS = { label: "Desk", deviceId: "d", echoCancellation: true, sampleRateHz: 48_000 };

// A tone in every third frame and noise in the others, like words and the pauses between them.
function frames(voice: number, noise: number): Int16Array[] {
  return Array.from({ length: 150 }, (_, frame) =>
    Int16Array.from({ length: 320 }, (_, at) => {
      const amplitude = frame % 3 === 0 ? voice : noise;
      return Math.round(Math.sin(at / 3) * amplitude * 32767);
    }),
  );
}

function findings(voice: number, noise: number, settings: Parameters<typeof checkDevice>[1] = SETTINGS): string {
  return checkDevice(measureLevels(frames(voice, noise)), settings)
    .map(({ ok, text }) => `${ok ? "+" : "-"} ${text}`)
    .join("\n");
}

test("levels separate the voice from the noise between its words", () => {
  const { voiceDb, noiseDb, peakDb } = measureLevels(frames(0.5, 0.001));
  expect(voiceDb).toBeCloseTo(-9, 0);
  expect(noiseDb).toBeCloseTo(-63, 0);
  expect(peakDb).toBeCloseTo(-6, 0);
});

test("a good setup passes every check", () => {
  expect(findings(0.3, 0.0005)).toBe(
    "+ Your voice is clear (-13 dB).\n+ The room is quiet (-69 dB).\n" +
      "+ The microphone records at 48 kHz; 16 kHz is sent.\n+ Echo is cancelled: you may use loudspeakers.",
  );
});

test("each problem is reported with a remedy", () => {
  expect(findings(0, 0)).toContain("- Nothing was heard.");
  expect(findings(0.01, 0.0001)).toContain("- Your voice is quiet");
  expect(findings(1, 0.001)).toContain("- Your voice is too loud");
  expect(findings(0.3, 0.02)).toContain("- There is noise around you");
  expect(findings(0.1, 0.1)).toContain("- No voice stood out");
  const telephone = findings(0.3, 0.001, { ...SETTINGS, sampleRateHz: 8000 });
  expect(telephone).toContain("- The microphone records at 8 kHz, like a telephone");
  expect(findings(0.3, 0.001, { ...SETTINGS, echoCancellation: false })).toContain("- Echo is not cancelled.");
  expect(findings(0.3, 0.001, { ...SETTINGS, echoCancellation: undefined })).toContain("- The browser does not say");
});

test("an empty recording counts as silence", () => {
  expect(checkDevice(measureLevels([]), SETTINGS)[0]).toMatchObject({ ok: false });
});
