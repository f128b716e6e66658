import { expect, test } from "vitest";
import { followsAfterScroll, scrollTarget } from "../src/follow";

const LIST = { height: 400, contentHeight: 2000 };
const word = (top: number, height = 30) => ({ top, bottom: top + height });

test.each([
  ["a word in sight leaves the list where it is", { ...LIST, scrollTop: 500 }, word(600), 500],
  ["a word below the list is brought in sight", { ...LIST, scrollTop: 0 }, word(900), 900 - 120],
  ["a word close to the bottom moves up before it leaves", { ...LIST, scrollTop: 0 }, word(350), 350 - 120],
  ["a word above the list is brought in sight", { ...LIST, scrollTop: 1600 }, word(700), 700 - 120],
  ["a word at the beginning does not scroll beyond it", { ...LIST, scrollTop: 300 }, word(20), 0],
  ["a word at the end does not scroll beyond it", { ...LIST, scrollTop: 0 }, word(1960), 1600],
  ["without a word the end is shown", { ...LIST, scrollTop: 0 }, null, 1600],
  ["a list that fits does not scroll", { height: 400, contentHeight: 300, scrollTop: 0 }, null, 0],
  [
    "in a list of one line the word is in the middle",
    { height: 44, contentHeight: 900, scrollTop: 0 },
    word(300),
    300 - 7,
  ],
  [
    "a word higher than the list is shown from its top",
    { height: 44, contentHeight: 900, scrollTop: 0 },
    word(300, 90),
    300,
  ],
])("%s", (_, viewport, place, scrollTop) => {
  expect(scrollTarget(viewport, place)).toBe(scrollTop);
});

test("a word that was brought in sight stays there without another step", () => {
  for (const height of [20, 44, 100, 400, 900]) {
    const viewport = { height, contentHeight: 3000, scrollTop: 0 };
    const scrollTop = scrollTarget(viewport, word(1500));
    expect(scrollTarget({ ...viewport, scrollTop }, word(1500))).toBe(scrollTop);
  }
});

test.each([
  ["scrolling back stops it, even with the word in sight", 800, 760, word(900), false],
  ["scrolling back beyond the word stops it", 800, 100, word(900), false],
  ["scrolling on to the word starts it", 100, 800, word(900), true],
  ["scrolling on without reaching the word does not", 100, 300, word(900), false],
  ["scrolling past the word to read ahead stops it", 800, 1600, word(900), false],
  ["without a word, the end starts it", 100, 1599, null, true],
  ["without a word, anything before the end stops it", 1600, 1500, null, false],
])("%s", (_, from, to, place, follows) => {
  const before = { ...LIST, scrollTop: from };
  expect(followsAfterScroll(before, { ...before, scrollTop: to }, place)).toBe(follows);
});
