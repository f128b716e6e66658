import { expect, test } from "vitest";
import { captionSpans } from "../src/captions";
import { newTurn, type Turn } from "../src/turn";

const MARKS = [
  { textStart: 0, textEnd: 4, offsetMs: 0 },
  { textStart: 5, textEnd: 12, offsetMs: 400 },
];

function turn(fields: Partial<Turn>): Turn {
  return { ...newTurn(1, 1), replyText: "Good evening all.", marks: MARKS, ...fields };
}

function read(shown: Turn, sound = true): string {
  return captionSpans(shown, sound)
    .map(({ kind, text }) => `${kind}:${text}`)
    .join("|");
}

test("all text is ahead before the first playback report", () => {
  expect(read(turn({}))).toBe("ahead:Good evening all.");
});

test("the current word separates the heard text from the text ahead", () => {
  expect(read(turn({ playedMs: 100 }))).toBe("now:Good|ahead: evening all.");
  expect(read(turn({ playedMs: 500 }))).toBe("heard:Good |now:evening|ahead: all.");
});

test("an interrupted reply is split into heard and cut text", () => {
  expect(read(turn({ heardText: "Good", interrupted: true }))).toBe("heard:Good|cut: evening all.");
});

test("a finished reply is all heard", () => {
  expect(read(turn({ playedMs: 500, heardText: "Good evening all." }))).toBe("heard:Good evening all.");
});

test("without sound all text is readable at once", () => {
  expect(read(turn({}), false)).toBe("heard:Good evening all.");
});

test("a reply without marks counts as heard once it plays", () => {
  expect(read(turn({ marks: [] }))).toBe("ahead:Good evening all.");
  expect(read(turn({ marks: [], playedMs: 10 }))).toBe("heard:Good evening all.");
});

test("characters outside the basic plane count as one character", () => {
  const flags = turn({ replyText: "🎙🎙 on", marks: [{ textStart: 0, textEnd: 2, offsetMs: 0 }], playedMs: 1 });
  expect(read(flags)).toBe("now:🎙🎙|ahead: on");
});
