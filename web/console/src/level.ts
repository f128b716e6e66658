/** How loud the microphone is, and what to do about it. */

/** Something to tell the user about the level; empty when it is well. */
export type LevelHint = "" | "clipping" | "quiet" | "silent";

// A peak comes every 20 ms: three seconds of them.
export const HINT_PEAKS = 150;
const CLIPPED = 0.985;
// More than a click: so many clipped peaks within the window.
const CLIPPED_PEAKS = 5;
// Speech below this loses words: -30 dB of full scale.
const QUIET = 0.032;
// What a muted device yields: less than one step of 16 bits.
const SILENT = 1 / 32768;
const FLOOR_DB = -60;

export const HINT_WORDS: Readonly<Record<LevelHint, string>> = {
  "": "",
  clipping: "Too loud: the sound is distorted. Move back a little.",
  quiet: "Very quiet. Come closer to the microphone.",
  silent: "No sound arrives. Is the microphone muted?",
};

/** Judges the newest `HINT_PEAKS` peaks, 0 to 1; `speech` says whether the user spoke in them. */
export function levelHint(peaks: readonly number[], speech: boolean): LevelHint {
  const recent = peaks.slice(-HINT_PEAKS);
  if (recent.filter((peak) => peak >= CLIPPED).length >= CLIPPED_PEAKS) return "clipping";
  if (recent.length < HINT_PEAKS) return "";
  const loudest = Math.max(...recent);
  if (loudest < SILENT) return "silent";
  return speech && loudest < QUIET ? "quiet" : "";
}

/** A peak as a share of the meter, even in decibels: -60 dB is 0, full scale is 1. */
export function meterShare(peak: number): number {
  return Math.max(0, Math.min(1, 1 - decibels(peak) / FLOOR_DB));
}

/** Of full scale; nothing below -96. */
export function decibels(amplitude: number): number {
  return Math.max(-96, 20 * Math.log10(Math.max(amplitude, 1e-9)));
}
