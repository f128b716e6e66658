import { expect, test } from "vitest";
import { type Cue, cuesOf } from "../src/cues";
import { newTurn, type Turn } from "../src/turn";

const MARKS = [
  { textStart: 0, textEnd: 5, offsetMs: 0 },
  { textStart: 6, textEnd: 10, offsetMs: 1000 },
  { textStart: 11, textEnd: 15, offsetMs: 1600 },
];
const TURN: Turn = {
  ...newTurn(1, 1),
  userText: "How is the weather?",
  userFromMs: 1000,
  userToMs: 3000,
  userLanguage: "en",
  replyText: "Grey. Then sun.",
  replyLanguage: "en",
  speaker: "Nora",
  replyFromMs: 4000,
  replyToMs: 6500,
  playedMs: 2500,
  heardText: "Grey. Then sun.",
  marks: MARKS,
};
const INTERRUPTED: Turn = { ...TURN, interrupted: true, heardText: "Grey. Then", playedMs: 1500 };

const times = (cues: readonly Cue[]) => cues.map(({ startMs, endMs, text }) => [startMs, endMs, text]);

test("a reply is split into sentences at the times of its marks", () => {
  expect(times(cuesOf([TURN]))).toEqual([
    [1000, 3000, "How is the weather?"],
    [4000, 5000, "Grey."],
    [5000, 6500, "Then sun."],
  ]);
  expect(cuesOf([TURN]).map(({ speaker }) => speaker)).toEqual(["You", "Nora", "Nora"]);
});

test("a reply ends where it was interrupted", () => {
  expect(times(cuesOf([INTERRUPTED])).at(-1)).toEqual([5000, 5500, "Then"]);
});

test("what plays after a pause is later by its length", () => {
  const paused = { ...TURN, shifts: [{ fromMs: 900, byMs: 60_000 }] };
  expect(times(cuesOf([paused])).at(-1)).toEqual([65_000, 66_500, "Then sun."]);
});

test("a corrected turn, and one without a time, have no cue", () => {
  const unknown = { ...TURN, id: 3, userFromMs: null, replyFromMs: null };
  expect(cuesOf([{ ...TURN, replacedBy: 2 }, unknown])).toEqual([]);
});

test("a sentence that exceeds two lines is split", () => {
  const words = Array.from({ length: 30 }, () => "abcde");
  const marks = words.map((_, index) => ({ textStart: index * 6, textEnd: index * 6 + 5, offsetMs: index * 300 }));
  const cues = cuesOf([{ ...newTurn(1, 1), replyText: words.join(" "), marks, replyFromMs: 0 }]);
  expect(cues).toHaveLength(3);
  expect(cues.every(({ text }) => text.length <= 84)).toBe(true);
});

test("a reply without marks is divided by its length", () => {
  const replyText = "Good evening. The ferry leaves at six.";
  const cues = cuesOf([{ ...newTurn(1, 1), replyText, replyFromMs: 500, replyToMs: 4200, playedMs: 3700 }]);
  expect(times(cues)).toEqual([
    [500, 1800, "Good evening."],
    [1800, 4200, "The ferry leaves at six."],
  ]);
});

test("an unheard duration is estimated", () => {
  expect(times(cuesOf([{ ...newTurn(1, 1), replyText: "Good evening.", replyFromMs: 500 }]))).toEqual([
    [500, 1500, "Good evening."],
  ]);
});

test("cues are in order and none overlaps another, whatever the times are", () => {
  const together = Array.from({ length: 5 }, (_, id) => ({ ...TURN, id, key: `1.${id}` }));
  const overlapping = [...together, { ...INTERRUPTED, userFromMs: 4500, userToMs: 9000 }, { ...TURN, replyFromMs: 0 }];
  const cues = cuesOf(overlapping);
  expect(cues.length).toBeGreaterThan(15);
  for (const [index, cue] of cues.entries()) {
    expect(cue.endMs - cue.startMs).toBeGreaterThanOrEqual(300);
    expect(cues[index + 1]?.startMs ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(cue.endMs);
  }
});
