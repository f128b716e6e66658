/** Turns a latency waterfall into stages and statistics. */
import type { LatencyWaterfall } from "@ai-anchor/client";
import type { Turn } from "./turn";

/** The stage that ends the wait for the end of the turn. */
export const TURN_OVER = "turn over";

const STAGES = [
  ["silence noticed", "speechStoppedMs"],
  ["transcript", "finalTranscriptMs"],
  [TURN_OVER, "turnCommittedMs"],
  ["first word", "firstTokenMs"],
  ["first phrase", "firstPhraseMs"],
  ["voice", "firstAudioMs"],
  ["sent", "firstFrameSentMs"],
  ["heard", "firstSampleHeardMs"],
] as const satisfies readonly (readonly [string, keyof LatencyWaterfall])[];

/** The names of the stages, in their usual order. */
export const STAGE_NAMES: readonly string[] = STAGES.map(([name]) => name);

/** One stage before the first sound. Times are after the end of the user's speech; it starts where the one before ends. */
export interface LatencyStage {
  name: string;
  startMs: number;
  endMs: number;
}

/** The stages that happened, in the order in which they ended. */
export function latencyStages(latency: LatencyWaterfall): LatencyStage[] {
  // A speculative reply starts before the turn is over, or even before speech ends.
  const happened = STAGES.map(([name, field]): [string, number | undefined] => [name, latency[field]])
    .filter((stage): stage is [string, number] => stage[1] !== undefined)
    .sort(([, a], [, b]) => a - b);
  return happened.map(([name, endMs], index) => ({
    name,
    startMs: Math.min(endMs, Math.max(0, happened[index - 1]?.[1] ?? 0)),
    endMs,
  }));
}

/** Milliseconds from the end of the user's speech to the first sound; undefined when none was sent. */
export function responseMs(latency: LatencyWaterfall): number | undefined {
  return latency.firstSampleHeardMs ?? latency.firstFrameSentMs;
}

/** The newest turn that is committed or being answered, whether or not its figures have come; undefined without one. */
export function newestAnswer(turns: readonly Turn[]): Turn | undefined {
  return turns.findLast(({ userToMs, engine, latency }) => userToMs !== null || engine !== "" || latency !== null);
}

/** Nearest-rank percentile, `share` from 0 to 1; undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
