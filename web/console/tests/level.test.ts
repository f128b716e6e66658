import { expect, test } from "vitest";
import { HINT_PEAKS, levelHint, meterShare } from "../src/level";
import { LevelFeed } from "../src/level_feed";

const steady = (peak: number, count = HINT_PEAKS) => Array.from({ length: count }, () => peak);

test("a voice of usual loudness needs no hint", () => {
  expect(levelHint(steady(0.2), true)).toBe("");
});

test("clipping is told at once, a single click is not", () => {
  expect(levelHint([...steady(0.2, 20), ...steady(1, 5)], true)).toBe("clipping");
  expect(levelHint([...steady(0.2, 20), 1], true)).toBe("");
});

test("clipping is forgotten when it is three seconds past", () => {
  expect(levelHint([...steady(1, 20), ...steady(0.2)], true)).toBe("");
});

test("quiet is told only of speech, not of a silent room", () => {
  expect(levelHint(steady(0.01), true)).toBe("quiet");
  expect(levelHint(steady(0.01), false)).toBe("");
});

test("a microphone that yields nothing at all is told, after three seconds", () => {
  expect(levelHint(steady(0), false)).toBe("silent");
  expect(levelHint(steady(0, 40), false)).toBe("");
});

test("the meter is even in decibels", () => {
  expect(meterShare(1)).toBe(1);
  expect(meterShare(0)).toBe(0);
  expect(meterShare(0.0316)).toBeCloseTo(0.5, 2);
});

test("the feed keeps three seconds and tells its watchers until they leave", () => {
  const feed = new LevelFeed();
  const seen: number[] = [];
  const leave = feed.watch((peak) => seen.push(peak));
  for (const peak of steady(0.5, HINT_PEAKS + 10)) feed.push(peak);
  expect(feed.peaks).toHaveLength(HINT_PEAKS);
  feed.clear();
  leave();
  feed.push(0.9);
  expect(seen.at(-1)).toBe(0);
  expect(feed.peaks).toEqual([0.9]);
});
