/** One side of a recording as a WAV file: puts pieces of sound where they belong in time. Pure: no file, no clock. */

const HEADER_BYTES = 44;
const SAMPLE_BYTES = 2;
// A piece that comes this much later than the end of the one before follows a silence: a closed microphone.
const MIN_GAP_MS = 60;
// Silence is written in pieces of this length at most, in samples.
const SILENCE_SAMPLES = 48_000;

/** The header of a WAV file with PCM16 mono. */
export function wavHeader(rateHz: number, samples: number): Uint8Array<ArrayBuffer> {
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  const text = (at: number, letters: string) => {
    for (let index = 0; index < letters.length; index += 1) header.setUint8(at + index, letters.charCodeAt(index));
  };
  const bytes = samples * SAMPLE_BYTES;
  text(0, "RIFF");
  header.setUint32(4, HEADER_BYTES - 8 + bytes, true);
  text(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true);
  header.setUint16(22, 1, true);
  header.setUint32(24, rateHz, true);
  header.setUint32(28, rateHz * SAMPLE_BYTES, true);
  header.setUint16(32, SAMPLE_BYTES, true);
  header.setUint16(34, 16, true);
  text(36, "data");
  header.setUint32(40, bytes, true);
  return new Uint8Array(header.buffer);
}

/** Places the pieces of one side. All times are in milliseconds since the recording began. */
export class WavTrack {
  readonly rateHz: number;
  readonly #write: (pcm: Uint8Array<ArrayBuffer>) => void;
  #samples = 0;
  // How far the recording's clock is ahead of the side's own, by the piece that arrived soonest.
  #aheadMs = Number.POSITIVE_INFINITY;
  #lastAtMs = Number.NEGATIVE_INFINITY;

  constructor(rateHz: number, write: (pcm: Uint8Array<ArrayBuffer>) => void) {
    this.rateHz = rateHz;
    this.#write = write;
  }

  /** Number of samples so far. */
  get samples(): number {
    return this.#samples;
  }

  /**
   * Appends a piece of PCM16 that arrived at `nowMs`; its last sample is at `atMs` of the side's own clock. A clock that
   * goes back is another one.
   */
  push(pcm: ArrayBuffer, atMs: number, nowMs: number): void {
    if (atMs < this.#lastAtMs) this.#aheadMs = Number.POSITIVE_INFINITY;
    this.#lastAtMs = atMs;
    this.#aheadMs = Math.min(this.#aheadMs, nowMs - atMs);
    const count = pcm.byteLength / SAMPLE_BYTES;
    const startsAt = this.#toSamples(atMs + this.#aheadMs) - count;
    if (startsAt - this.#samples >= this.#toSamples(MIN_GAP_MS)) this.#pad(startsAt);
    // What was on its way when the recording began is older than it.
    const late = this.#samples === 0 ? Math.min(count, Math.max(0, -startsAt)) : 0;
    this.#append(new Uint8Array(pcm, late * SAMPLE_BYTES));
  }

  /** Appends silence until `nowMs`, so that both sides have one length. */
  end(nowMs: number): void {
    this.#pad(this.#toSamples(nowMs));
  }

  #pad(until: number): void {
    while (this.#samples < until) {
      const count = Math.min(SILENCE_SAMPLES, until - this.#samples);
      this.#append(new Uint8Array(count * SAMPLE_BYTES));
    }
  }

  #append(bytes: Uint8Array<ArrayBuffer>): void {
    this.#samples += bytes.byteLength / SAMPLE_BYTES;
    if (bytes.byteLength > 0) this.#write(bytes);
  }

  #toSamples(ms: number): number {
    return Math.round((ms * this.rateHz) / 1000);
  }
}
