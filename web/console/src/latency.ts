/** Turns a latency waterfall into stages and statistics. */
import type { LatencyWaterfall } from "@ai-anchor/client";

/** One stage before the first sound. Times are after the end of the user's speech; it starts where the one before ends. */
export interface LatencyStage {
  name: string;
  startMs: number;
  endMs: number;
}

/** The stages that happened, in the order in which they ended. */
export function latencyStages(latency: LatencyWaterfall): LatencyStage[] {
  const ends: [string, number | undefined][] = [
    ["silence noticed", latency.speechStoppedMs],
    ["transcript", latency.finalTranscriptMs],
    ["turn over", latency.turnCommittedMs],
    ["first word", latency.firstTokenMs],
    ["first phrase", latency.firstPhraseMs],
    ["voice", latency.firstAudioMs],
    ["sent", latency.firstFrameSentMs],
    ["heard", latency.firstSampleHeardMs],
  ];
  // A speculative reply starts before the turn is over, or even before speech ends.
  const happened = ends
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

/** Nearest-rank percentile, `share` from 0 to 1; undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
