import { expect, test } from "vitest";
import { PlayedRecorder } from "../../src/worklets/played_recorder";
import type { PlayedAudio } from "../../src/worklets/worklet_messages";

const RATE_HZ = 1000;

test("all that is played comes in pieces of 100 ms with the time of their last sample", () => {
  const pieces: (PlayedAudio & { samples: number[] })[] = [];
  const recorder = new PlayedRecorder(RATE_HZ, ({ pcm, atS }) => {
    // A worklet transfers the piece, which detaches it.
    const moved = structuredClone(pcm, { transfer: [pcm] });
    pieces.push({ pcm: moved, atS, samples: Array.from(new Int16Array(moved)) });
  });
  for (let start = 0; start < 320; start += 64) {
    const quantum = Float32Array.from({ length: 64 }, (_, index) => (start + index) / 32768);
    recorder.push(quantum, start / RATE_HZ);
  }
  expect(pieces.map(({ atS }) => atS)).toEqual([0.1, 0.2, 0.3]);
  expect(pieces.flatMap(({ samples }) => samples)).toEqual(Array.from({ length: 300 }, (_, index) => index));
});

test("samples beyond full scale are clipped", () => {
  let samples: number[] = [];
  const recorder = new PlayedRecorder(RATE_HZ, ({ pcm }) => (samples = Array.from(new Int16Array(pcm))));
  recorder.push(
    Float32Array.from({ length: 100 }, (_, index) => (index % 2 ? 1.5 : -1.5)),
    0,
  );
  expect(samples.slice(0, 2)).toEqual([-32768, 32767]);
});
