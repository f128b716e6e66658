/** Resamples the microphone from the context's rate and posts a PCM16 frame every 20 ms. */
import { Resampler } from "./resampler";
import type { CapturedFrame, CaptureOptions } from "./worklet_messages";

class Capture extends AudioWorkletProcessor {
  readonly #resampler: Resampler;
  readonly #frameSamples: number;
  readonly #emit = (sample: number): void => {
    this.#appendSample(sample);
  };
  #frame: Int16Array<ArrayBuffer>;
  #filled = 0;
  #peak = 0;

  constructor({ processorOptions: { rateHz } }: { processorOptions: CaptureOptions }) {
    super();
    this.#resampler = new Resampler(sampleRate, rateHz);
    this.#frameSamples = rateHz / 50;
    this.#frame = new Int16Array(this.#frameSamples);
  }

  process(inputs: Float32Array[][]): boolean {
    const channel = inputs[0]?.[0];
    // Without a channel the track is muted or gone. No frames are sent, so the audio clock pauses.
    if (channel) for (const sample of channel) this.#resampler.push(sample, this.#emit);
    return true;
  }

  #appendSample(sample: number): void {
    this.#peak = Math.max(this.#peak, Math.abs(sample));
    this.#frame[this.#filled] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
    this.#filled += 1;
    if (this.#filled < this.#frameSamples) return;
    const captured: CapturedFrame = { pcm: this.#frame.buffer, peak: this.#peak, atS: currentTime };
    this.port.postMessage(captured, [captured.pcm]);
    this.#frame = new Int16Array(this.#frameSamples);
    this.#filled = 0;
    this.#peak = 0;
  }
}

registerProcessor("capture", Capture);
