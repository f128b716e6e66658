// Microphone samples at the context's rate → PCM16 at 16 kHz, a frame every 20 ms.
import { Resampler } from "./resampler.js";

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.resampler = new Resampler(sampleRate, processorOptions.rateHz);
    this.frameSamples = processorOptions.rateHz / 50;
    this.frame = new Int16Array(this.frameSamples);
    this.filled = 0;
    this.peak = 0;
    this.emit = (sample) => this.take(sample);
  }

  process([input]) {
    const channel = input[0];
    // No channel: the track is muted or gone. The clock stands still then, as nothing was heard.
    if (channel) for (let index = 0; index < channel.length; index += 1) this.resampler.push(channel[index], this.emit);
    return true;
  }

  take(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.peak = Math.max(this.peak, Math.abs(clipped));
    this.frame[this.filled] = Math.min(32767, Math.round(clipped * 32768));
    this.filled += 1;
    if (this.filled < this.frameSamples) return;
    this.port.postMessage({ pcm: this.frame.buffer, peak: this.peak }, [this.frame.buffer]);
    this.frame = new Int16Array(this.frameSamples);
    this.filled = 0;
    this.peak = 0;
  }
}

registerProcessor("capture", Capture);
