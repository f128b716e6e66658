/** Statistics of the response times, apart for spoken, written and canned turns, which have nothing in common. */
import { latencyStages, percentile, responseMs, STAGE_NAMES } from "./latency";
import type { Turn } from "./turn";

/** `phrase`: the reply was one of the persona's fixed phrases, however the turn came. */
export type TurnKind = "spoken" | "written" | "phrase";

export const TURN_KINDS: readonly TurnKind[] = ["spoken", "written", "phrase"];

export const TURN_KIND_NAMES: Readonly<Record<TurnKind, string>> = {
  spoken: "Spoken",
  written: "Written",
  phrase: "Fixed phrase",
};

/** The median of the times at which a stage was reached, after the end of speech, in milliseconds. */
export interface StageMedian {
  name: string;
  medianMs: number;
  /** In how many turns it was reached. */
  count: number;
}

/** Of the turns with a sound. Times are in milliseconds. */
export interface LatencyStatistics {
  count: number;
  p50Ms: number;
  p95Ms: number;
  /** In the order in which stages are reached; without those that were reached in no turn. */
  stages: readonly StageMedian[];
}

// The engine's name in `reply_started`.
const PHRASE_ENGINE = "phrase";

/** The kind of a turn whose latency is known. */
export function turnKind({ engine, latency }: Pick<Turn, "engine" | "latency">): TurnKind {
  if (engine === PHRASE_ENGINE) return "phrase";
  return latency && latency.speechEndMs > 0 ? "spoken" : "written";
}

/** The statistics of these turns; null when none of them had a sound. */
export function latencyStatistics(turns: readonly Turn[]): LatencyStatistics | null {
  const measured = turns.flatMap(({ latency }) => {
    const ms = latency ? responseMs(latency) : undefined;
    return latency && ms !== undefined ? [{ latency, ms }] : [];
  });
  const responses = measured.map(({ ms }) => ms);
  const p50Ms = percentile(responses, 0.5);
  const p95Ms = percentile(responses, 0.95);
  if (p50Ms === undefined || p95Ms === undefined) return null;
  const stages = measured.flatMap(({ latency }) => latencyStages(latency));
  return {
    count: measured.length,
    p50Ms,
    p95Ms,
    stages: STAGE_NAMES.flatMap((name) => {
      const times = stages.filter((stage) => stage.name === name).map(({ endMs }) => endMs);
      const medianMs = percentile(times, 0.5);
      return medianMs === undefined ? [] : [{ name, medianMs, count: times.length }];
    }),
  };
}

/** The statistics of each kind; null for a kind without a turn that had a sound. */
export function statisticsByKind(turns: readonly Turn[]): Record<TurnKind, LatencyStatistics | null> {
  const of = (kind: TurnKind) => latencyStatistics(turns.filter((turn) => turn.latency && turnKind(turn) === kind));
  return { spoken: of("spoken"), written: of("written"), phrase: of("phrase") };
}
