import { expect, test } from "vitest";
import { captions } from "../src/captions";
import { newTurn, type Turn } from "../src/turn";

const MARKS = [
  { start: 0, end: 4, offsetMs: 0 },
  { start: 5, end: 12, offsetMs: 400 },
];

function turn(fields: Partial<Turn>): Turn {
  return { ...newTurn(1, 1), replyText: "Good evening all.", marks: MARKS, ...fields };
}

function read(shown: Turn, sound = true): string {
  return captions(shown, sound)
    .map(({ kind, text }) => `${kind}:${text}`)
    .join("|");
}

test("nothing is heard before the first report", () => {
  expect(read(turn({}))).toBe("ahead:Good evening all.");
});

test("the word that sounds stands out between what was heard and what is ahead", () => {
  expect(read(turn({ playedMs: 100 }))).toBe("now:Good|ahead: evening all.");
  expect(read(turn({ playedMs: 500 }))).toBe("heard:Good |now:evening|ahead: all.");
});

test("what was cut off is apart from what was heard", () => {
  expect(read(turn({ heardText: "Good", interrupted: true }))).toBe("heard:Good|cut: evening all.");
});

test("a reply that ended was heard to its end", () => {
  expect(read(turn({ playedMs: 500, heardText: "Good evening all." }))).toBe("heard:Good evening all.");
});

test("without sound the text is there to read at once", () => {
  expect(read(turn({}), false)).toBe("heard:Good evening all.");
});

test("a voice without marks is shown as said once it sounds", () => {
  expect(read(turn({ marks: [] }))).toBe("ahead:Good evening all.");
  expect(read(turn({ marks: [], playedMs: 10 }))).toBe("heard:Good evening all.");
});

test("characters outside the basic plane count as one", () => {
  const flags = turn({ replyText: "🎙🎙 on", marks: [{ start: 0, end: 2, offsetMs: 0 }], playedMs: 1 });
  expect(read(flags)).toBe("now:🎙🎙|ahead: on");
});
