/**
 * A jitter buffer for replies that also tracks how much of them the listener has heard.
 *
 * One ring holds all audio; each segment of it records its reply and the offset in that reply. No clock and no browser
 * API. All counts are samples at the context's rate, except names that end in `Ms`.
 */

// The server sends at most two seconds ahead. Samples beyond the capacity are dropped, newest first.
const CAPACITY_S = 12;
// Audio buffered before playback starts: little at first, more after an underrun.
const START_MS = 20;
const RESTART_MS = 80;
const REPORT_MS = 100;
// A step in the waveform clicks; a fade of 5 ms is inaudible.
const FADE_MS = 5;

/** How much of a reply has left the output device, and the state of the buffer. */
export interface PlaybackReport {
  turnId: number;
  playedMs: number;
  /** The peak since the last report, 0 to 1. */
  peak: number;
  /** Length of the audio that has arrived and was not played yet, in milliseconds. */
  bufferedMs: number;
  /** How often the buffer ran empty in the middle of a reply, in all replies, and for how long in total. */
  underruns: number;
  underrunMs: number;
}

interface Segment {
  startsAt: number;
  turnId: number;
  offset: number;
}

export class JitterBuffer {
  readonly #rateHz: number;
  readonly #ring: Float32Array;
  readonly #fadeStep: number;
  readonly #reportInterval: number;
  #segments: Segment[] = [];
  #current: Segment | null = null;
  #turnId: number | null = null;
  // Samples written and read since the buffer was last cleared.
  #written = 0;
  #read = 0;
  #minimumFill = 0;
  #latency = 0;
  #gain = 0;
  #running = false;
  #paused = false;
  #stopping = false;
  #silentSamples = 0;
  // Silent samples since the buffer ran empty; null while it has not. More audio of the reply makes it an underrun.
  #emptySamples: number | null = null;
  #underruns = 0;
  #underrunSamples = 0;
  #samplesSinceReport = 0;
  #reported = 0;
  #peak = 0;

  constructor(rateHz: number) {
    this.#rateHz = rateHz;
    this.#ring = new Float32Array(CAPACITY_S * rateHz);
    this.#fadeStep = 1000 / (FADE_MS * rateHz);
    this.#reportInterval = this.#toSamples(REPORT_MS);
    this.#clear();
  }

  /** Sets the reply and offset of the samples pushed next, and the output latency; drops another reply's samples. */
  setPosition(turnId: number, offsetMs: number, latencyMs: number): void {
    if (this.#stopping || this.#turnId !== turnId) this.#clear();
    this.#stopping = false;
    this.#turnId = turnId;
    this.#latency = this.#toSamples(latencyMs);
    this.#segments.push({ startsAt: this.#written, turnId, offset: this.#toSamples(offsetMs) });
  }

  /** Appends PCM16. Returns the number of samples dropped because the buffer is full. */
  push(pcm: Int16Array): number {
    const count = Math.min(pcm.length, this.#ring.length - (this.#written - this.#read));
    for (let index = 0; index < count; index += 1) {
      this.#ring[(this.#written + index) % this.#ring.length] = (pcm[index] as number) / 32768;
    }
    this.#written += count;
    return pcm.length - count;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
  }

  /** Fades out and drops everything. */
  stop(): void {
    this.#stopping = true;
  }

  /** Marks the reply as complete: what is buffered plays, however little it is. */
  endReply(): void {
    this.#minimumFill = 0;
  }

  /** Fills `channel` with the next samples; returns a report when one is due. */
  pull(channel: Float32Array): PlaybackReport | null {
    for (let index = 0; index < channel.length; index += 1) channel[index] = this.#nextSample();
    return this.#dueReport(channel.length);
  }

  #clear(): void {
    this.#segments = [];
    this.#current = null;
    this.#turnId = null;
    this.#written = 0;
    this.#read = 0;
    this.#minimumFill = this.#toSamples(START_MS);
    this.#running = false;
    this.#paused = false;
    this.#emptySamples = null;
    this.#silentSamples = 0;
    this.#samplesSinceReport = 0;
    this.#reported = 0;
    this.#peak = 0;
  }

  #nextSample(): number {
    const fading = this.#paused || this.#stopping;
    if (this.#stopping && this.#gain <= 0) {
      this.#clear();
      this.#stopping = false;
    }
    const buffered = this.#written - this.#read;
    if (!this.#running && buffered > 0 && buffered >= this.#minimumFill) this.#start();
    if (!this.#running || (fading && this.#gain <= 0)) {
      this.#gain = 0;
      this.#silentSamples += 1;
      if (this.#emptySamples !== null && !fading) this.#emptySamples += 1;
      return 0;
    }
    this.#gain = Math.max(0, Math.min(1, this.#gain + (fading ? -this.#fadeStep : this.#fadeStep)));
    while (this.#segments[0] && this.#segments[0].startsAt <= this.#read)
      this.#current = this.#segments.shift() ?? null;
    const sample = (this.#ring[this.#read % this.#ring.length] as number) * this.#gain;
    this.#read += 1;
    this.#silentSamples = 0;
    this.#peak = Math.max(this.#peak, Math.abs(sample));
    if (this.#read === this.#written) {
      this.#running = false;
      this.#minimumFill = this.#toSamples(RESTART_MS);
      this.#emptySamples = 0;
    }
    return sample;
  }

  #start(): void {
    this.#running = true;
    if (this.#emptySamples === null) return;
    this.#underruns += 1;
    this.#underrunSamples += this.#emptySamples;
    this.#emptySamples = null;
  }

  // Samples count as heard once they have left the output device, `#latency` samples after they were pulled.
  #dueReport(samples: number): PlaybackReport | null {
    if (!this.#current) return null;
    const played = this.#current.offset + this.#read - this.#current.startsAt;
    const heard = Math.max(0, played - Math.max(0, this.#latency - this.#silentSamples));
    this.#samplesSinceReport += samples;
    const first = this.#reported === 0 && heard > 0;
    const last = this.#silentSamples > 0 && heard !== this.#reported && heard === played;
    const due = this.#samplesSinceReport >= this.#reportInterval && heard !== this.#reported;
    if (!first && !last && !due) return null;
    const report = {
      turnId: this.#current.turnId,
      playedMs: this.#toMs(heard),
      peak: this.#peak,
      bufferedMs: this.#toMs(this.#written - this.#read),
      underruns: this.#underruns,
      underrunMs: this.#toMs(this.#underrunSamples),
    };
    this.#reported = heard;
    this.#samplesSinceReport = 0;
    this.#peak = 0;
    return report;
  }

  #toMs(samples: number): number {
    return Math.round((samples * 1000) / this.#rateHz);
  }

  #toSamples(ms: number): number {
    return Math.round((ms * this.#rateHz) / 1000);
  }
}
