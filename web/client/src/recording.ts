/** `RecordingFeed`: sends a recording in frames at the speed of speech, as a microphone would. */
import { MICROPHONE_HZ } from "./microphone";

const FRAME_MS = 20;
const FRAME_SAMPLES = (MICROPHONE_HZ * FRAME_MS) / 1000;

export interface RecordingOptions {
  /** Mono at `MICROPHONE_HZ`. */
  samples: Int16Array;
  /** Gets 20 ms of PCM16 and its peak, 0 to 1, when they are due. */
  onFrame: (pcm: ArrayBuffer, peak: number) => void;
  /** Called once, after the last frame; not after `stop`. */
  onEnd: () => void;
}

/** Begins at once. Timers that come late, as in a tab in the background, are made up for: no frame is left out. */
export class RecordingFeed {
  readonly #options: RecordingOptions;
  readonly #startedAtMs = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  #sentFrames = 0;

  constructor(options: RecordingOptions) {
    this.#options = options;
    this.#timer = setInterval(() => {
      this.#sendDue();
    }, FRAME_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sendDue(): void {
    const { samples, onFrame, onEnd } = this.#options;
    const frames = Math.ceil(samples.length / FRAME_SAMPLES);
    const due = Math.min(frames, Math.floor((performance.now() - this.#startedAtMs) / FRAME_MS));
    for (; this.#sentFrames < due; this.#sentFrames += 1) {
      // The last frame is filled up with silence.
      const frame = new Int16Array(FRAME_SAMPLES);
      frame.set(samples.subarray(this.#sentFrames * FRAME_SAMPLES, (this.#sentFrames + 1) * FRAME_SAMPLES));
      const peak = frame.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0) / 32768;
      onFrame(frame.buffer, peak);
    }
    if (this.#sentFrames < frames) return;
    this.stop();
    onEnd();
  }
}
