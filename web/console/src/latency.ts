/** Where the time of turns went. */
import type { LatencyWaterfall } from "@ai-anchor/client";

/** One step towards the first sound: it ended `endMs` after the user's speech, and began with the one before. */
export interface Stage {
  name: string;
  startMs: number;
  endMs: number;
}

/** The steps in the order they ended in; those that did not happen are left out. */
export function stages(latency: LatencyWaterfall): Stage[] {
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
  // The anchor may begin to think before the turn is over, or even before speech ends.
  const happened = ends
    .filter((stage): stage is [string, number] => stage[1] !== undefined)
    .sort(([, a], [, b]) => a - b);
  return happened.map(([name, endMs], index) => ({
    name,
    startMs: Math.min(endMs, Math.max(0, happened[index - 1]?.[1] ?? 0)),
    endMs,
  }));
}

/** From the end of the user's speech to the first sound, in milliseconds; undefined when none was sent. */
export function responseMs(latency: LatencyWaterfall): number | undefined {
  return latency.firstSampleHeardMs ?? latency.firstFrameSentMs;
}

/** The smallest value that at least `share` of `values` do not exceed; undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

/** `1234` → `1.23 s`, `840` → `840 ms`. */
export function duration(ms: number): string {
  return Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}
