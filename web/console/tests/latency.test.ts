import { expect, test } from "vitest";
import { latencyStages, percentile, responseMs } from "../src/latency";
import { latencyWaterfall } from "./script";

test("stages are ordered by their end, and each starts where the one before ends", () => {
  const stages = latencyStages(
    latencyWaterfall({ finalTranscriptMs: 200, turnCommittedMs: 450, firstTokenMs: 230, firstFrameSentMs: 460 }),
  );
  expect(stages).toEqual([
    { name: "transcript", startMs: 0, endMs: 200 },
    { name: "first word", startMs: 200, endMs: 230 },
    { name: "turn over", startMs: 230, endMs: 450 },
    { name: "sent", startMs: 450, endMs: 460 },
  ]);
});

test("a stage before the end of speech has no length", () => {
  expect(latencyStages(latencyWaterfall({ firstTokenMs: -300, turnCommittedMs: 400 }))).toEqual([
    { name: "first word", startMs: -300, endMs: -300 },
    { name: "turn over", startMs: 0, endMs: 400 },
  ]);
});

test("the response time counts the first sound heard, or else the first frame sent", () => {
  expect(responseMs(latencyWaterfall({ firstFrameSentMs: 460, firstSampleHeardMs: 620 }))).toBe(620);
  expect(responseMs(latencyWaterfall({ firstFrameSentMs: 460 }))).toBe(460);
  expect(responseMs(latencyWaterfall({}))).toBeUndefined();
});

test("percentiles are measured values", () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect(percentile(values, 0.5)).toBe(50);
  expect(percentile(values, 0.95)).toBe(95);
  expect(percentile([7], 0.95)).toBe(7);
  expect(percentile([3, 1, 2], 0.5)).toBe(2);
  expect(percentile([], 0.5)).toBeUndefined();
});
