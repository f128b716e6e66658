import { LatencyWaterfallSchema, TurnEndPredictedSchema, WaitDecision } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { EventLog } from "../src/event_log";
import { EXPORT_VERSION, measuredTurns, type MeasurementSources, toCsv, toJson } from "../src/measurements";
import { newTurn, type Turn } from "../src/turn";
import { OPEN, serverMessage, turnCommitted } from "./script";

const OPENED_AT_MS = Date.UTC(2026, 1, 3, 8, 0, 0);

const SPOKEN: Turn = {
  ...newTurn(1, 1),
  userText: "a secret question",
  userToMs: OPENED_AT_MS + 5250,
  engine: "briefing",
  soundArrivedMs: 5300,
  replyFromMs: 5360,
  playedMs: 900,
  latency: create(LatencyWaterfallSchema, {
    turnId: 1,
    speechEndMs: 900,
    speechStoppedMs: 102,
    finalTranscriptMs: 204,
    turnCommittedMs: 690,
    firstTokenMs: -12,
    firstFrameSentMs: 700,
    firstSampleHeardMs: 800,
    budgetMs: 2000,
  }),
  wait: create(TurnEndPredictedSchema, {
    atMs: 900,
    probability: 0.62,
    predictor: "smart-turn+text",
    waitMs: 690,
    patience: 1,
    decidedBy: WaitDecision.PREDICTION,
    opinions: [
      { name: "smart-turn", probability: 0.5 },
      { name: "text", probability: 0.75 },
    ],
  }),
  setting: { slot: "B", patience: 0.5, stopMs: 200, minWords: 0 },
};
const WRITTEN: Turn = {
  ...newTurn(1, 2),
  engine: '=cmd("x"), or\nso',
  interrupted: true,
  latency: create(LatencyWaterfallSchema, { turnId: 2, turnCommittedMs: 0, firstFrameSentMs: 160 }),
};
const TURNS = [SPOKEN, WRITTEN, newTurn(1, 3)];

/** Parses CSV as RFC 4180 defines it. */
function parseCsv(text: string): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  for (const [, quoted, plain = "", end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    row.push(quoted === undefined ? plain : quoted.replaceAll('""', '"'));
    if (end !== "\r\n") continue;
    rows.push(row);
    row = [];
  }
  return rows;
}

test("a turn has its stages, the reason of its wait, its setting and its network", () => {
  const [spoken, written, ...others] = measuredTurns(TURNS);
  expect(others).toEqual([]);
  expect(spoken).toEqual({
    turn: 1,
    committed_at: "2026-02-03T08:00:05.250Z",
    kind: "spoken",
    engine: "briefing",
    interrupted: false,
    failed: false,
    response_ms: 800,
    budget_ms: 2000,
    speech_stopped_ms: 102,
    final_transcript_ms: 204,
    turn_committed_ms: 690,
    first_token_ms: -12,
    first_phrase_ms: null,
    first_audio_ms: null,
    first_frame_sent_ms: 700,
    first_sample_heard_ms: 800,
    wait_ms: 690,
    wait_decided_by: "prediction",
    wait_probability: 0.62,
    wait_predictor: "smart-turn+text",
    wait_opinions: "smart-turn=0.5 text=0.75",
    setting: "B",
    patience: 0.5,
    barge_in_stop_ms: 200,
    barge_in_min_words: null,
    page_ms: 60,
    transfer_ms: 40,
  });
  expect(written).toMatchObject({
    kind: "written",
    response_ms: 160,
    turn_committed_ms: 0,
    wait_ms: null,
    setting: null,
  });
});

test("the CSV reads back as the same rows, and no cell is a formula", () => {
  const [header = [], ...rows] = parseCsv(toCsv(TURNS));
  expect(rows).toHaveLength(2);
  const expected = measuredTurns(TURNS);
  expect(header).toEqual(Object.keys(expected[0] ?? {}));
  rows.forEach((row, index) => {
    expect(row).toHaveLength(header.length);
    for (const [column, name] of header.entries()) {
      const cell = expected[index]?.[name] ?? null;
      if (name !== "engine") expect(row[column]).toBe(cell === null ? "" : String(cell));
    }
  });
  expect(rows.map((row) => row[header.indexOf("engine")])).toEqual(["briefing", `'=cmd("x"), or\nso`]);
  expect(toCsv([])).toBe("\r\n");
});

function exported(change: Partial<MeasurementSources> = {}): Record<string, unknown> {
  const log = new EventLog();
  log.record(OPEN, OPENED_AT_MS);
  log.record(
    { kind: "message", message: serverMessage(turnCommitted(1, "a secret question")), atMs: 0 },
    OPENED_AT_MS + 5,
  );
  const sources: MeasurementSources = {
    turns: TURNS,
    openedAtMs: OPENED_AT_MS,
    roundTrips: { latestMs: 12.3456, medianMs: 11, jitterMs: 1.5, count: 9 },
    lostPings: 1,
    buffer: { bufferedMs: 900, underruns: 2, underrunMs: 140 },
    events: log.entries,
    ...change,
  };
  return JSON.parse(toJson(sources)) as Record<string, unknown>;
}

test("the JSON has turns, statistics by kind and by setting, network and events", () => {
  expect(exported()).toMatchObject({
    version: EXPORT_VERSION,
    page_opened_at: "2026-02-03T08:00:00.000Z",
    turns: [{ turn: 1 }, { turn: 2 }],
    statistics: {
      all: { spoken: { count: 1, p50_ms: 800, p95_ms: 800 }, written: { count: 1, p50_ms: 160 } },
      by_setting: { A: {}, B: { spoken: { count: 1 } } },
    },
    network: {
      round_trip: { latest_ms: 12.346, median_ms: 11, jitter_ms: 1.5, count: 9 },
      lost_pings: 1,
      buffered_ms: 900,
      underruns: 2,
      underrun_ms: 140,
    },
    events: [
      { at: "2026-02-03T08:00:00.000Z", group: "connection", turn: null, text: "Connected", count: 1 },
      { at: "2026-02-03T08:00:00.005Z", group: "turn", turn: 1, text: "Turn over: “…”", count: 1 },
    ],
  });
});

test("nothing that was said is exported, not even when a long text was cut", () => {
  expect(JSON.stringify(exported())).not.toContain("secret");
  expect(toCsv(TURNS)).not.toContain("secret");
  const log = new EventLog();
  const long = `a ${"very ".repeat(80)}secret question`;
  log.record({ kind: "message", message: serverMessage(turnCommitted(1, long)), atMs: 0 }, 5);
  expect(JSON.stringify(exported({ events: log.entries }))).not.toContain("very");
});

test("an export without measurements is one too", () => {
  expect(exported({ turns: [], roundTrips: null, buffer: null, events: [] })).toMatchObject({
    turns: [],
    statistics: { all: {}, by_setting: { A: {}, B: {} } },
    network: { round_trip: null, buffered_ms: null },
    events: [],
  });
});
