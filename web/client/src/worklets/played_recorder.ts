/** Collects what a worklet plays into pieces of PCM16. No browser API. */
import type { PlayedAudio } from "./worklet_messages";

/** Length of a piece, in milliseconds. */
const PIECE_MS = 100;

export class PlayedRecorder {
  readonly #rateHz: number;
  readonly #pieceSamples: number;
  readonly #emit: (played: PlayedAudio) => void;
  #piece: Int16Array<ArrayBuffer>;
  #filled = 0;

  /** `emit` gets each piece once it is complete, and may transfer it. */
  constructor(rateHz: number, emit: (played: PlayedAudio) => void) {
    this.#rateHz = rateHz;
    this.#emit = emit;
    this.#pieceSamples = Math.round((rateHz * PIECE_MS) / 1000);
    this.#piece = new Int16Array(this.#pieceSamples);
  }

  /** Appends samples, of which the first is played at `startS`, in seconds on the context's clock. */
  push(samples: Float32Array, startS: number): void {
    for (let index = 0; index < samples.length; index += 1) {
      const sample = Math.round((samples[index] as number) * 32768);
      this.#piece[this.#filled] = Math.max(-32768, Math.min(32767, sample));
      this.#filled += 1;
      if (this.#filled < this.#pieceSamples) continue;
      this.#emit({ pcm: this.#piece.buffer, atS: startS + (index + 1) / this.#rateHz });
      this.#piece = new Int16Array(this.#pieceSamples);
      this.#filled = 0;
    }
  }
}
