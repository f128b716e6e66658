import { expect, test } from "vitest";
import { timestamp, transcript } from "../src/transcript";
import { newTurn, type Turn } from "../src/turn";

const TURN: Turn = {
  ...newTurn(1, 1),
  userText: "How <is> the weather?",
  userFromMs: 1000,
  userToMs: 3000,
  replyText: "Grey. Then sun.",
  replyFromMs: 4000,
  playedMs: 2500,
  heardText: "Grey. Then sun.",
  engine: "briefing",
  marks: [
    { start: 0, end: 5, offsetMs: 0 },
    { start: 6, end: 10, offsetMs: 1000 },
    { start: 11, end: 15, offsetMs: 1600 },
  ],
};
const CUT: Turn = { ...TURN, interrupted: true, heardText: "Grey. Then", playedMs: 1500 };

test("text holds who said what, and of a reply only what was heard", () => {
  expect(transcript([TURN, CUT], "txt", "Nora")).toBe(
    "You: How <is> the weather?\nNora: Grey. Then sun.\n\nYou: How <is> the weather?\nNora: Grey. Then …\n",
  );
});

test("subtitles part a reply by its sentences, at the times of its marks", () => {
  expect(transcript([TURN], "vtt", "Nora")).toBe(
    [
      "WEBVTT\n",
      "00:00:01.000 --> 00:00:03.000\n<v You>How &lt;is&gt; the weather?\n",
      "00:00:04.000 --> 00:00:05.000\n<v Nora>Grey.\n",
      "00:00:05.000 --> 00:00:06.500\n<v Nora>Then sun.\n",
    ].join("\n"),
  );
});

test("subtitles end where the reply was cut off", () => {
  expect(transcript([CUT], "vtt")).toContain("00:00:05.000 --> 00:00:05.500\n<v Anchor>Then\n");
});

test("subtitles break a long sentence at two lines", () => {
  const replyText = Array.from({ length: 30 }, () => "abcde").join(" ");
  const marks = Array.from({ length: 30 }, (_, index) => ({
    start: index * 6,
    end: index * 6 + 5,
    offsetMs: index * 300,
  }));
  const lines =
    transcript([{ ...newTurn(1, 1), replyText, marks, replyFromMs: 0 }], "vtt").match(/<v Anchor>.*/g) ?? [];
  expect(lines).toHaveLength(3);
  expect(lines.every((line) => line.length <= 84 + "<v Anchor>".length)).toBe(true);
});

test("a reply without marks is one cue as long as it would take to say", () => {
  expect(transcript([{ ...newTurn(1, 1), replyText: "Good evening.", replyFromMs: 500 }], "vtt")).toContain(
    "00:00:00.500 --> 00:00:01.500",
  );
});

test("JSON holds the times, the marks and what was not heard", () => {
  const told = JSON.parse(transcript([CUT], "json", "Nora")) as { anchor: string; turns: Record<string, unknown>[] };
  expect(told.anchor).toBe("Nora");
  expect(told.turns[0]).toMatchObject({
    user_from_ms: 1000,
    reply: "Grey. Then sun.",
    reply_heard: "Grey. Then",
    interrupted: true,
    marks: [{ text_start: 0, text_end: 5, offset_ms: 0 }, {}, {}],
  });
});

test("times are written with hours, and never before the beginning", () => {
  expect(timestamp(3_723_004)).toBe("01:02:03.004");
  expect(timestamp(-5)).toBe("00:00:00.000");
  expect(timestamp(59_999.7)).toBe("00:01:00.000");
});
