import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RecordingFeed } from "../src/recording";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** 50 ms of a constant at half of full scale: two frames and a half. */
const samples = new Int16Array(800).fill(16_384);

function feed(): { feed: RecordingFeed; frames: [atMs: number, pcm: Int16Array, peak: number][]; ends: number[] } {
  const beganMs = performance.now();
  const frames: [number, Int16Array, number][] = [];
  const ends: number[] = [];
  const onFrame = (pcm: ArrayBuffer, peak: number) =>
    frames.push([performance.now() - beganMs, new Int16Array(pcm), peak]);
  const onEnd = () => ends.push(performance.now() - beganMs);
  return { feed: new RecordingFeed({ samples, onFrame, onEnd }), frames, ends };
}

test("a recording leaves at the speed of speech, its last frame filled up", () => {
  const { frames, ends } = feed();
  vi.advanceTimersByTime(1000);
  expect(frames.map(([atMs]) => atMs)).toEqual([20, 40, 60]);
  expect(frames.map(([, pcm]) => pcm.length)).toEqual([320, 320, 320]);
  expect(frames.map(([, , peak]) => peak)).toEqual([0.5, 0.5, 0.5]);
  expect(Array.from(frames[2]?.[1] ?? []).filter((sample) => sample !== 0)).toHaveLength(160);
  expect(ends).toEqual([60]);
});

test("late timers leave nothing out", () => {
  const { frames, ends } = feed();
  const now = vi.spyOn(performance, "now").mockReturnValue(performance.now() + 500);
  vi.advanceTimersByTime(20);
  now.mockRestore();
  expect(frames).toHaveLength(3);
  expect(ends).toHaveLength(1);
});

test("a stopped recording sends nothing more and does not end", () => {
  const { feed: playing, frames, ends } = feed();
  vi.advanceTimersByTime(20);
  playing.stop();
  vi.advanceTimersByTime(1000);
  expect(frames).toHaveLength(1);
  expect(ends).toEqual([]);
});
