import { expect, test } from "vitest";
import { Resampler } from "../../src/worklets/resampler";

const TARGET_HZ = 16_000;

function resampled(inputHz: number, frequencyHz: number): number[] {
  const output: number[] = [];
  const resampler = new Resampler(inputHz, TARGET_HZ);
  for (let index = 0; index < inputHz; index += 1) {
    resampler.push(Math.sin((2 * Math.PI * frequencyHz * index) / inputHz), (sample) => output.push(sample));
  }
  return output;
}

const loudness = (samples: number[]) =>
  Math.sqrt(samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length);

test.each([8000, 16_000, 22_050, 44_100, 48_000, 96_000])(
  "one second at %i Hz becomes one second at 16 kHz",
  (inputHz) => {
    expect(resampled(inputHz, 440)).toHaveLength(TARGET_HZ);
  },
);

test.each([44_100, 48_000])("resampling from %i Hz keeps the speech band and removes aliases", (inputHz) => {
  for (const frequencyHz of [100, 1000, 3000, 6000]) {
    expect(loudness(resampled(inputHz, frequencyHz).slice(1000))).toBeCloseTo(Math.SQRT1_2, 1);
  }
  expect(loudness(resampled(inputHz, 10_000).slice(1000))).toBeLessThan(0.001);
});
