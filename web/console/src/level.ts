/** The microphone's level: peaks for the meters, and hints when the level is wrong. */

/** A problem with the level; empty when there is none. */
export type LevelHint = "" | "clipping" | "quiet" | "silent";

/** Number of peaks that a hint is based on: three seconds of one peak per 20 ms. */
export const LEVEL_WINDOW = 150;
/** A peak from here on counts as clipped. Full scale is 1. */
export const CLIPPED_PEAK = 0.985;
// A single click clips fewer peaks than this.
const MIN_CLIPPED_PEAKS = 5;
// The recogniser loses words in speech below -30 dB of full scale.
const QUIET_PEAK = 0.032;
// A muted device yields less than one step of 16 bits.
const SILENT_PEAK = 1 / 32768;
const METER_FLOOR_DB = -60;

export const LEVEL_HINT_TEXTS: Readonly<Record<LevelHint, string>> = {
  "": "",
  clipping: "Too loud: the sound is distorted. Move back a little.",
  quiet: "Very quiet. Come closer to the microphone.",
  silent: "No sound arrives. Is the microphone muted?",
};

/** Returns a hint for the newest `LEVEL_WINDOW` peaks, 0 to 1; `speech` says whether they contain speech. */
export function levelHint(peaks: readonly number[], speech: boolean): LevelHint {
  const recent = peaks.slice(-LEVEL_WINDOW);
  if (recent.filter((peak) => peak >= CLIPPED_PEAK).length >= MIN_CLIPPED_PEAKS) return "clipping";
  if (recent.length < LEVEL_WINDOW) return "";
  const loudest = Math.max(...recent);
  if (loudest < SILENT_PEAK) return "silent";
  return speech && loudest < QUIET_PEAK ? "quiet" : "";
}

/** The fraction of a meter that a peak fills, linear in decibels: -60 dB is 0, full scale is 1. */
export function meterFraction(peak: number): number {
  return Math.max(0, Math.min(1, 1 - decibels(peak) / METER_FLOOR_DB));
}

/** An amplitude in decibels of full scale, at least -96. */
export function decibels(amplitude: number): number {
  return Math.max(-96, 20 * Math.log10(Math.max(amplitude, 1e-9)));
}

/** Passes peaks to the meters without the store: fifty times a second is too often to render the page. */
export class LevelFeed {
  /** The newest peaks, oldest first. */
  readonly peaks: number[] = [];
  readonly #subscribers = new Set<(peak: number) => void>();

  push(peak: number): void {
    this.peaks.push(peak);
    if (this.peaks.length > LEVEL_WINDOW) this.peaks.shift();
    for (const subscriber of this.#subscribers) subscriber(peak);
  }

  /** Drops all peaks and sets the meters to zero: the microphone has closed. */
  clear(): void {
    this.peaks.length = 0;
    for (const subscriber of this.#subscribers) subscriber(0);
  }

  /** Calls `subscriber` with every peak until the returned function is called. */
  subscribe(subscriber: (peak: number) => void): () => void {
    this.#subscribers.add(subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }
}
