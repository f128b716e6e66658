import { BargeInVerdict } from "@ai-anchor/client";
import { expect, test } from "vitest";
import type { ConversationEvent } from "../src/conversation_reducer";
import { EventLog, formatClock, logLine, MAX_ENTRIES } from "../src/event_log";
import * as script from "./script";
import { OPEN, serverMessage } from "./script";

// A value of a newer server.
const UNKNOWN: unknown = 99;

type Step = Parameters<typeof serverMessage>[0] | ConversationEvent;
const event = (step: Step): ConversationEvent =>
  "kind" in step ? step : { kind: "message", message: serverMessage(step), atMs: 0 };

function logged(...steps: Step[]): EventLog {
  const log = new EventLog();
  steps.forEach((step, index) => {
    log.record(event(step), index * 10);
  });
  return log;
}

const LINES: [step: Step, group: string, turnId: number | null, text: string][] = [
  [{ case: "speechStarted", value: { atMs: 100 } }, "speech", null, "Speech started"],
  [{ case: "speechStopped", value: { atMs: 900 } }, "speech", null, "Speech ended"],
  [script.finalTranscript(1, ""), "speech", 1, "Transcript 0: no words"],
  [script.turnEndPredicted(900, 690), "turn", null, "Waiting 690 ms in silence: the server gave no reason."],
  [script.turnCommitted(1, "hello"), "turn", 1, "Turn over: “hello”"],
  [
    script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict: BargeInVerdict.STOP_WORDS }),
    "turn",
    1,
    "Talked over: stopped by words",
  ],
  [
    script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict: UNKNOWN as BargeInVerdict }),
    "turn",
    1,
    "Sound over the reply",
  ],
  [script.replyStarted(1), "reply", 1, "Reply started by briefing"],
  [{ case: "playbackPause", value: { turnId: 1 } }, "reply", 1, "Paused"],
  [
    script.replyFinished(1, { heardText: "Good", heardMs: 300, interrupted: true }),
    "reply",
    1,
    "Reply cut off: heard 300 ms",
  ],
  [
    { case: "latencyWaterfall", value: script.latencyWaterfall({ turnId: 1, firstSampleHeardMs: 640 }) },
    "reply",
    1,
    "First sound after 640 ms",
  ],
  [script.serviceNotice("stt.unavailable", true, "gone"), "notice", null, "Begins: stt.unavailable, gone"],
  [script.serviceNotice("stt.unavailable", false), "notice", null, "Over: stt.unavailable"],
  [OPEN, "connection", null, "Connected"],
  [
    { kind: "connection", connection: { state: "reconnecting", code: "session.moving", retryInMs: 300 } },
    "connection",
    null,
    "Connection lost (session.moving); next try in 300 ms",
  ],
];

test.for(LINES)("an event is told: %o", ([step, group, turnId, text]) => {
  expect(logLine(event(step))).toMatchObject({ group, turnId, text });
});

test.for<Step>([
  script.playback(1, 100),
  script.replyText(1, "Good"),
  script.speechMark(1, 0, 4, 0),
  script.systemStatus({}),
  { kind: "notice", notice: "" },
])("an event without news is not told: %o", (step) => {
  expect(logged(step).entries).toEqual([]);
});

test("partial transcripts that follow each other are one entry with the latest text and time", () => {
  const log = logged(
    script.partialTranscript(1, "how"),
    script.partialTranscript(1, "how is"),
    script.partialTranscript(1, "how is the"),
    script.finalTranscript(1, "how is the weather"),
    script.partialTranscript(1, "how is the weather in"),
    script.partialTranscript(2, "stop"),
  );
  expect(log.entries.map(({ text, count, atMs }) => [text, count, atMs])).toEqual([
    ["Heard so far: “how is the”", 3, 20],
    ["Transcript 0: “how is the weather”", 1, 30],
    ["Heard so far: “how is the weather in”", 1, 40],
    ["Heard so far: “stop”", 1, 50],
  ]);
});

test("the log keeps the newest entries, counts what it dropped, and cuts long texts", () => {
  const log = new EventLog();
  for (let turnId = 1; turnId <= MAX_ENTRIES + 5; turnId += 1) {
    log.record(event(script.turnCommitted(turnId, "a".repeat(500))), turnId);
  }
  expect(log.entries).toHaveLength(MAX_ENTRIES);
  expect(log.dropped).toBe(5);
  expect(log.entries[0]).toMatchObject({ id: 6, turnId: 6 });
  expect(Array.from(log.entries[0]?.text ?? "")).toHaveLength(160);
});

test("subscribers are told of new entries only", () => {
  const log = new EventLog();
  let told = 0;
  const unsubscribe = log.subscribe(() => (told += 1));
  log.record(event(OPEN), 0);
  log.record(event(script.playback(1, 100)), 0);
  unsubscribe();
  log.record(event(OPEN), 0);
  expect(told).toBe(1);
});

test("times of day have milliseconds", () => {
  expect(formatClock(new Date(2026, 1, 3, 8, 4, 9, 7).getTime())).toBe("08:04:09.007");
});
