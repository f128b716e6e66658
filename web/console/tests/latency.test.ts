import { expect, test } from "vitest";
import { duration, percentile, responseMs, stages } from "../src/latency";
import { waterfall } from "./script";

test("stages come in the order they happened in, each from the end of the one before", () => {
  const told = stages(
    waterfall({ finalTranscriptMs: 200, turnCommittedMs: 450, firstTokenMs: 230, firstFrameSentMs: 460 }),
  );
  expect(told).toEqual([
    { name: "transcript", startMs: 0, endMs: 200 },
    { name: "first word", startMs: 200, endMs: 230 },
    { name: "turn over", startMs: 230, endMs: 450 },
    { name: "sent", startMs: 450, endMs: 460 },
  ]);
});

test("what happened before the end of speech has no length after it", () => {
  expect(stages(waterfall({ firstTokenMs: -300, turnCommittedMs: 400 }))).toEqual([
    { name: "first word", startMs: -300, endMs: -300 },
    { name: "turn over", startMs: 0, endMs: 400 },
  ]);
});

test("the response is what was heard, or else what was sent", () => {
  expect(responseMs(waterfall({ firstFrameSentMs: 460, firstSampleHeardMs: 620 }))).toBe(620);
  expect(responseMs(waterfall({ firstFrameSentMs: 460 }))).toBe(460);
  expect(responseMs(waterfall({}))).toBeUndefined();
});

test("percentiles are values that were measured", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(percentile(values, 0.5)).toBe(50);
  expect(percentile(values, 0.95)).toBe(95);
  expect(percentile([7], 0.95)).toBe(7);
  expect(percentile([3, 1, 2], 0.5)).toBe(2);
  expect(percentile([], 0.5)).toBeUndefined();
});

test("durations are told in the unit that reads best", () => {
  expect([duration(0), duration(999), duration(1234), duration(-5)]).toEqual(["0 ms", "999 ms", "1.23 s", "-5 ms"]);
});
