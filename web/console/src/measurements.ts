/** The measured turns as rows for JSON and CSV: stages, reason of the wait, setting, network. No words of the talk. */
import { WaitDecision } from "@ai-anchor/client";
import type { LogEntry } from "./event_log";
import { responseMs } from "./latency";
import { type LatencyStatistics, statisticsByKind, TURN_KINDS, turnKind } from "./latency_statistics";
import { type BufferState, type RoundTripStatistics, soundPath } from "./network";
import { TRIAL_SLOTS } from "./trial";
import type { Turn } from "./turn";

/** Counts the forms of the export: other programs read it. */
export const EXPORT_VERSION = 1;

export interface MeasurementSources {
  turns: readonly Turn[];
  /** When the page opened, in milliseconds since 1970. */
  openedAtMs: number;
  roundTrips: RoundTripStatistics | null;
  /** Pings without an answer. */
  lostPings: number;
  buffer: BufferState | null;
  events: readonly LogEntry[];
}

type Cell = string | number | boolean | null;
/** One row of the CSV; the keys are the names of its columns, in their order. */
export type MeasuredTurn = Readonly<Record<string, Cell>>;

/** The turns whose figures are known, oldest first. Times that end in `_ms` are milliseconds; unknown ones are null. */
export function measuredTurns(turns: readonly Turn[]): MeasuredTurn[] {
  return turns.flatMap((turn) => {
    const { latency, wait, setting } = turn;
    if (!latency) return [];
    const path = soundPath(turn);
    return [
      {
        turn: turn.id,
        committed_at: turn.userToMs === null ? null : new Date(turn.userToMs).toISOString(),
        kind: turnKind(turn),
        engine: turn.engine,
        interrupted: turn.interrupted,
        failed: turn.failure !== "",
        response_ms: responseMs(latency) ?? null,
        budget_ms: latency.budgetMs || null,
        speech_stopped_ms: latency.speechStoppedMs ?? null,
        final_transcript_ms: latency.finalTranscriptMs ?? null,
        turn_committed_ms: latency.turnCommittedMs ?? null,
        first_token_ms: latency.firstTokenMs ?? null,
        first_phrase_ms: latency.firstPhraseMs ?? null,
        first_audio_ms: latency.firstAudioMs ?? null,
        first_frame_sent_ms: latency.firstFrameSentMs ?? null,
        first_sample_heard_ms: latency.firstSampleHeardMs ?? null,
        wait_ms: wait?.waitMs ?? null,
        wait_decided_by: wait ? decisionName(wait.decidedBy) : null,
        wait_probability: wait?.probability === undefined ? null : rounded(wait.probability),
        wait_predictor: wait?.predictor ?? null,
        wait_opinions: wait ? wait.opinions.map((each) => `${each.name}=${rounded(each.probability)}`).join(" ") : null,
        setting: setting?.slot ?? null,
        patience: setting?.patience ?? null,
        barge_in_stop_ms: setting?.stopMs || null,
        barge_in_min_words: setting?.minWords || null,
        page_ms: path?.pageMs ?? null,
        transfer_ms: path?.transferMs ?? null,
      },
    ];
  });
}

/** All measurements as JSON: the turns, their statistics, the network, the event log without words of the talk. */
export function toJson(sources: MeasurementSources): string {
  const { turns, openedAtMs, roundTrips, lostPings, buffer, events } = sources;
  const bySetting = TRIAL_SLOTS.map(
    (slot) => [slot, statisticsOf(turns.filter((turn) => turn.setting?.slot === slot))] as const,
  );
  const exported = {
    version: EXPORT_VERSION,
    page_opened_at: new Date(openedAtMs).toISOString(),
    turns: measuredTurns(turns),
    statistics: { all: statisticsOf(turns), by_setting: Object.fromEntries(bySetting) },
    network: {
      round_trip: roundTrips && {
        latest_ms: rounded(roundTrips.latestMs),
        median_ms: rounded(roundTrips.medianMs),
        jitter_ms: rounded(roundTrips.jitterMs),
        count: roundTrips.count,
      },
      lost_pings: lostPings,
      buffered_ms: buffer?.bufferedMs ?? null,
      underruns: buffer?.underruns ?? null,
      underrun_ms: buffer?.underrunMs ?? null,
    },
    events: events.map(({ atMs, group, turnId, text, count }) => ({
      at: new Date(atMs).toISOString(),
      group,
      turn: turnId,
      // What was said belongs to the transcript's export.
      text: text.replace(/“.*$/s, "“…”"),
      count,
    })),
  };
  return `${JSON.stringify(exported, null, 2)}\n`;
}

/** The turns as CSV (RFC 4180): a header, then one row for each. */
export function toCsv(turns: readonly Turn[]): string {
  const rows = measuredTurns(turns);
  const header = Object.keys(rows[0] ?? {});
  return [header, ...rows.map((row) => header.map((name) => row[name] ?? null))]
    .map((row) => `${row.map(csvCell).join(",")}\r\n`)
    .join("");
}

function statisticsOf(turns: readonly Turn[]): Record<string, unknown> {
  const statistics = statisticsByKind(turns);
  const known = TURN_KINDS.flatMap((kind) => {
    const of = statistics[kind];
    return of ? [[kind, exportedStatistics(of)] as const] : [];
  });
  return Object.fromEntries(known);
}

function exportedStatistics({ count, p50Ms, p95Ms, stages }: LatencyStatistics): unknown {
  return {
    count,
    p50_ms: p50Ms,
    p95_ms: p95Ms,
    stages: stages.map((stage) => ({ name: stage.name, median_ms: stage.medianMs, count: stage.count })),
  };
}

function csvCell(cell: Cell): string {
  if (cell === null) return "";
  if (typeof cell !== "string") return String(cell);
  // Spreadsheets run a text that begins like a formula; names of engines come from outside.
  const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function decisionName(decision: WaitDecision): string {
  const name = (WaitDecision as Readonly<Record<number, string>>)[decision];
  return name?.toLowerCase() ?? "unknown";
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
