import { expect, test } from "vitest";
import { formatTranscript, vttTimestamp } from "../src/transcript";
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
    { textStart: 0, textEnd: 5, offsetMs: 0 },
    { textStart: 6, textEnd: 10, offsetMs: 1000 },
    { textStart: 11, textEnd: 15, offsetMs: 1600 },
  ],
};
const INTERRUPTED: Turn = { ...TURN, interrupted: true, heardText: "Grey. Then", playedMs: 1500 };

test("text names the speakers and contains only the heard part of a reply", () => {
  expect(formatTranscript([TURN, INTERRUPTED], "txt", "Nora")).toBe(
    "You: How <is> the weather?\nNora: Grey. Then sun.\n\nYou: How <is> the weather?\nNora: Grey. Then …\n",
  );
});

test("subtitles split a reply into sentences at the times of its marks", () => {
  expect(formatTranscript([TURN], "vtt", "Nora")).toBe(
    [
      "WEBVTT\n",
      "00:00:01.000 --> 00:00:03.000\n<v You>How &lt;is&gt; the weather?\n",
      "00:00:04.000 --> 00:00:05.000\n<v Nora>Grey.\n",
      "00:00:05.000 --> 00:00:06.500\n<v Nora>Then sun.\n",
    ].join("\n"),
  );
});

test("subtitles end where the reply was interrupted", () => {
  expect(formatTranscript([INTERRUPTED], "vtt")).toContain("00:00:05.000 --> 00:00:05.500\n<v Anchor>Then\n");
});

test("subtitles split a sentence that exceeds two lines", () => {
  const replyText = Array.from({ length: 30 }, () => "abcde").join(" ");
  const marks = Array.from({ length: 30 }, (_, index) => ({
    textStart: index * 6,
    textEnd: index * 6 + 5,
    offsetMs: index * 300,
  }));
  const lines =
    formatTranscript([{ ...newTurn(1, 1), replyText, marks, replyFromMs: 0 }], "vtt").match(/<v Anchor>.*/g) ?? [];
  expect(lines).toHaveLength(3);
  expect(lines.every((line) => line.length <= 84 + "<v Anchor>".length)).toBe(true);
});

test("a reply without marks is one cue of its estimated duration", () => {
  expect(formatTranscript([{ ...newTurn(1, 1), replyText: "Good evening.", replyFromMs: 500 }], "vtt")).toContain(
    "00:00:00.500 --> 00:00:01.500",
  );
});

test("JSON contains the times, the marks and the unheard text", () => {
  const exported = JSON.parse(formatTranscript([INTERRUPTED], "json", "Nora")) as {
    anchor: string;
    turns: Record<string, unknown>[];
  };
  expect(exported.anchor).toBe("Nora");
  expect(exported.turns[0]).toMatchObject({
    user_from_ms: 1000,
    reply: "Grey. Then sun.",
    reply_heard: "Grey. Then",
    interrupted: true,
    marks: [{ text_start: 0, text_end: 5, offset_ms: 0 }, {}, {}],
  });
});

test("timestamps contain hours and are never negative", () => {
  expect(vttTimestamp(3_723_004)).toBe("01:02:03.004");
  expect(vttTimestamp(-5)).toBe("00:00:00.000");
  expect(vttTimestamp(59_999.7)).toBe("00:01:00.000");
});
