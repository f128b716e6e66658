import { expect, test } from "vitest";
import { LEVEL_WINDOW, LevelFeed, levelHint, meterFraction } from "../src/level";

const steady = (peak: number, count = LEVEL_WINDOW) => Array.from({ length: count }, () => peak);

test("a voice of normal loudness gets no hint", () => {
  expect(levelHint(steady(0.2), true)).toBe("");
});

test("clipping gets a hint at once, a single click gets none", () => {
  expect(levelHint([...steady(0.2, 20), ...steady(1, 5)], true)).toBe("clipping");
  expect(levelHint([...steady(0.2, 20), 1], true)).toBe("");
});

test("the clipping hint disappears after three seconds", () => {
  expect(levelHint([...steady(1, 20), ...steady(0.2)], true)).toBe("");
});

test("quiet speech gets a hint, a quiet room gets none", () => {
  expect(levelHint(steady(0.01), true)).toBe("quiet");
  expect(levelHint(steady(0.01), false)).toBe("");
});

test("a silent microphone gets a hint after three seconds", () => {
  expect(levelHint(steady(0), false)).toBe("silent");
  expect(levelHint(steady(0, 40), false)).toBe("");
});

test("the meter is linear in decibels", () => {
  expect(meterFraction(1)).toBe(1);
  expect(meterFraction(0)).toBe(0);
  expect(meterFraction(0.0316)).toBeCloseTo(0.5, 2);
});

test("the feed keeps three seconds and calls subscribers until they unsubscribe", () => {
  const feed = new LevelFeed();
  const seen: number[] = [];
  const unsubscribe = feed.subscribe((peak) => seen.push(peak));
  for (const peak of steady(0.5, LEVEL_WINDOW + 10)) feed.push(peak);
  expect(feed.peaks).toHaveLength(LEVEL_WINDOW);
  feed.clear();
  unsubscribe();
  feed.push(0.9);
  expect(seen.at(-1)).toBe(0);
  expect(feed.peaks).toEqual([0.9]);
});
