import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { fileName, formatTranscript, timestamp } from "../src/transcript";
import { newTurn, type Turn } from "../src/turn";
import { latencyWaterfall } from "./script";

const ZERO_MS = Date.UTC(2026, 11, 1, 9, 15, 1);
const TURN: Turn = {
  ...newTurn(1, 1),
  userText: "How <is> the weather?",
  userLanguage: "en",
  userFromMs: ZERO_MS,
  userToMs: ZERO_MS + 2000,
  replyText: "Grey. Then sun.",
  replyLanguage: "en",
  speaker: "Nora",
  persona: "anchor",
  voice: "hibari",
  replyFromMs: ZERO_MS + 3000,
  replyToMs: ZERO_MS + 5500,
  playedMs: 2500.75,
  heardText: "Grey. Then sun.",
  engine: "briefing",
  marks: [
    { textStart: 0, textEnd: 5, offsetMs: 0 },
    { textStart: 6, textEnd: 15, offsetMs: 1000 },
  ],
  latency: latencyWaterfall({ turnId: 1, speechStoppedMs: 250, firstFrameSentMs: 900, firstSampleHeardMs: 1000 }),
};
const LATER: Turn = {
  ...TURN,
  ...{ key: "1.2", id: 2, speaker: "Iris", replyLanguage: "de", replyText: "Grau. Dann", heardText: "Grau. Dann" },
  ...{ userFromMs: ZERO_MS + 60_000, userToMs: ZERO_MS + 62_000, replyFromMs: ZERO_MS + 63_000, replyToMs: null },
  ...{ interrupted: true, marks: [], latency: null, playedMs: 1000 },
};

beforeAll(() => {
  vi.stubEnv("TZ", "UTC");
});
afterAll(() => {
  vi.unstubAllEnvs();
});

test("text has the times of the clock and the speaker of each turn", () => {
  expect(formatTranscript([TURN, LATER], "txt")).toBe(
    [
      "[2026-12-01 09:15:01] You: How <is> the weather?",
      "[2026-12-01 09:15:04] Nora: Grey. Then sun.",
      "",
      "[2026-12-01 09:16:01] You: How <is> the weather?",
      "[2026-12-01 09:16:04] Iris: Grau. Dann …",
      "",
    ].join("\n"),
  );
});

test("WebVTT begins at its first cue, states when that was, and marks speaker and language", () => {
  expect(formatTranscript([TURN, LATER], "vtt")).toBe(
    [
      "WEBVTT\n",
      "NOTE 00:00:00.000 is 2026-12-01T09:15:01.000Z\n",
      "00:00:00.000 --> 00:00:02.000\n<v You><lang en>How &lt;is&gt; the weather?</lang>\n",
      "00:00:03.000 --> 00:00:04.000\n<v Nora><lang en>Grey.</lang>\n",
      "00:00:04.000 --> 00:00:05.501\n<v Nora><lang en>Then sun.</lang>\n",
      "00:01:00.000 --> 00:01:02.000\n<v You><lang en>How &lt;is&gt; the weather?</lang>\n",
      "00:01:03.000 --> 00:01:03.556\n<v Iris><lang de>Grau.</lang>\n",
      "00:01:03.556 --> 00:01:04.000\n<v Iris><lang de>Dann</lang>\n",
    ].join("\n"),
  );
});

test("SubRip is numbered, names the speaker and has no brackets that its players take for tags", () => {
  const blocks = formatTranscript([TURN, LATER], "srt").split("\n\n");
  expect(blocks[0]).toBe("1\n00:00:00,000 --> 00:00:02,000\nYou: How ‹is› the weather?");
  expect(blocks[4]).toBe("5\n00:01:03,000 --> 00:01:03,556\nIris: Grau.");
});

test("a text over one line of a subtitle is broken near its middle", () => {
  const userText = "one two three four five six seven eight nine ten eleven twelve";
  const [, , ...lines] = formatTranscript([{ ...TURN, userText, replyText: "" }], "srt")
    .trimEnd()
    .split("\n");
  expect(lines).toEqual(["You: one two three four five six", "seven eight nine ten eleven twelve"]);
});

test("blank lines and arrows in a text do not end its cue", () => {
  const userText = "a\n\n00:00:09,000 --> 00:00:10,000\nb";
  for (const format of ["srt", "vtt"] as const) {
    const file = formatTranscript([{ ...TURN, userText, replyText: "" }], format);
    expect(file.match(/-->/g)).toHaveLength(1);
    expect(file.trimEnd().split("\n\n")).toHaveLength(format === "srt" ? 1 : 3);
  }
});

test("subtitles of a recording count from its beginning", () => {
  expect(formatTranscript([TURN], "srt", ZERO_MS - 10_000)).toMatch(/^1\n00:00:10,000 --> 00:00:12,000\n/);
  expect(formatTranscript([TURN], "srt", ZERO_MS + 2500)).toMatch(/^1\n00:00:00,500 --> 00:00:01,500\nNora: Grey\.\n/);
});

test("JSON has the times of the clock, speaker, voice, languages and whole milliseconds", () => {
  const exported = JSON.parse(formatTranscript([TURN, { ...LATER, replacedBy: 3 }], "json")) as {
    began_at: string;
    turns: Record<string, unknown>[];
  };
  expect(exported.began_at).toBe("2026-12-01T09:15:01.000Z");
  expect(exported.turns[0]).toMatchObject({
    turn: 1,
    user_language: "en",
    user_began_at: "2026-12-01T09:15:01.000Z",
    reply_began_at: "2026-12-01T09:15:04.000Z",
    reply_ended_at: "2026-12-01T09:15:06.500Z",
    speaker: "Nora",
    persona: "anchor",
    voice: "hibari",
    reply_language: "en",
    latency_ms: { first_sound: 1000, speech_stopped: 250, final_transcript: null },
    marks: [{ text_start: 0, text_end: 5, offset_ms: 0 }, {}],
  });
  expect(exported.turns[1]).toMatchObject({
    replaced_by: 3,
    reply_heard: "Grau. Dann",
    interrupted: true,
    reply_ended_at: null,
    latency_ms: null,
  });
});

test("a file is named by the anchor and the time at which the conversation began", () => {
  expect(fileName([TURN], ".srt")).toBe("nora-2026-12-01-091501.srt");
  expect(fileName([TURN], "-you.wav", ZERO_MS + 59_000)).toBe("nora-2026-12-01-091600-you.wav");
  expect(fileName([{ ...TURN, speaker: "../Zoë & नोरा" }], ".txt")).toBe("zoë-नोरा-2026-12-01-091501.txt");
  expect(fileName([{ ...TURN, speaker: "" }], ".txt")).toBe("conversation-2026-12-01-091501.txt");
});

test("timestamps contain hours and are never negative", () => {
  expect(timestamp(3_723_004)).toBe("01:02:03.004");
  expect(timestamp(-5, ",")).toBe("00:00:00,000");
  expect(timestamp(59_999.7)).toBe("00:01:00.000");
});
