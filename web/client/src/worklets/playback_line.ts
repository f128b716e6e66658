/**
 * What waits to be played, as one line of samples, and how far along it the listener's ear is.
 *
 * All audio waits in one ring; a mark in front of a run of samples says which reply it belongs to and where in it.
 * Pure: no clock and no page. Counted in samples at the context's rate, but for names that end in `Ms`.
 */

// The server sends at most two seconds ahead; what exceeds the ring is dropped, newest first.
const RING_S = 12;
// Audio to have in hand before playing on: little at first, more after the line proved uneven.
const START_MS = 20;
const RESTART_MS = 80;
const REPORT_MS = 100;
// A step in the waveform is a click; five milliseconds of fading are not heard.
const FADE_MS = 5;

/** How much of a reply has passed the sound card, and its loudest sample since the last report, 0 to 1. */
export interface Heard {
  turnId: number;
  playedMs: number;
  peak: number;
}

interface Mark {
  at: number;
  turnId: number;
  offset: number;
}

export class PlaybackLine {
  readonly #rateHz: number;
  readonly #ring: Float32Array;
  readonly #fadeStep: number;
  readonly #reportEvery: number;
  #marks: Mark[] = [];
  #current: Mark | null = null;
  #newestTurn: number | null = null;
  // Of samples written and read since the line was last cleared.
  #written = 0;
  #read = 0;
  #needed = 0;
  #latency = 0;
  #gain = 0;
  #running = false;
  #paused = false;
  #stopping = false;
  #silentFor = 0;
  #sinceReport = 0;
  #heardBefore = 0;
  #peak = 0;

  constructor(rateHz: number) {
    this.#rateHz = rateHz;
    this.#ring = new Float32Array(RING_S * rateHz);
    this.#fadeStep = 1000 / (FADE_MS * rateHz);
    this.#reportEvery = this.#samples(REPORT_MS);
    this.#clear();
  }

  /** What is pushed from here on belongs to this reply, at this offset; drops what waits of another one. */
  place(turnId: number, offsetMs: number, latencyMs: number): void {
    if (this.#stopping || this.#newestTurn !== turnId) this.#clear();
    this.#stopping = false;
    this.#newestTurn = turnId;
    this.#latency = this.#samples(latencyMs);
    this.#marks.push({ at: this.#written, turnId, offset: this.#samples(offsetMs) });
  }

  /** Appends PCM16. Returns how many samples were dropped for want of room. */
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

  /** All audio of the reply is here: play on however little it is. */
  end(): void {
    this.#needed = 0;
  }

  /** Fills `channel` with what sounds next; returns a report when one is due. */
  play(channel: Float32Array): Heard | null {
    for (let index = 0; index < channel.length; index += 1) channel[index] = this.#next();
    return this.#report(channel.length);
  }

  #clear(): void {
    this.#marks = [];
    this.#current = null;
    this.#newestTurn = null;
    this.#written = 0;
    this.#read = 0;
    this.#needed = this.#samples(START_MS);
    this.#running = false;
    this.#paused = false;
    this.#silentFor = 0;
    this.#sinceReport = 0;
    this.#heardBefore = 0;
    this.#peak = 0;
  }

  #next(): number {
    const fading = this.#paused || this.#stopping;
    if (this.#stopping && this.#gain <= 0) {
      this.#clear();
      this.#stopping = false;
    }
    const waiting = this.#written - this.#read;
    if (!this.#running) this.#running = waiting > 0 && waiting >= this.#needed;
    if (!this.#running || (fading && this.#gain <= 0)) {
      this.#gain = 0;
      this.#silentFor += 1;
      return 0;
    }
    this.#gain = Math.max(0, Math.min(1, this.#gain + (fading ? -this.#fadeStep : this.#fadeStep)));
    while (this.#marks[0] && this.#marks[0].at <= this.#read) this.#current = this.#marks.shift() ?? null;
    const sample = (this.#ring[this.#read % this.#ring.length] as number) * this.#gain;
    this.#read += 1;
    this.#silentFor = 0;
    this.#peak = Math.max(this.#peak, Math.abs(sample));
    if (this.#read === this.#written) {
      this.#running = false;
      this.#needed = this.#samples(RESTART_MS);
    }
    return sample;
  }

  // What left this line is heard when it has passed the sound card: until then it does not count.
  #report(samples: number): Heard | null {
    if (!this.#current) return null;
    const played = this.#current.offset + this.#read - this.#current.at;
    const heard = Math.max(0, played - Math.max(0, this.#latency - this.#silentFor));
    this.#sinceReport += samples;
    const first = this.#heardBefore === 0 && heard > 0;
    const last = this.#silentFor > 0 && heard !== this.#heardBefore && heard === played;
    const due = this.#sinceReport >= this.#reportEvery && heard !== this.#heardBefore;
    if (!first && !last && !due) return null;
    const report = {
      turnId: this.#current.turnId,
      playedMs: Math.round((heard * 1000) / this.#rateHz),
      peak: this.#peak,
    };
    this.#heardBefore = heard;
    this.#sinceReport = 0;
    this.#peak = 0;
    return report;
  }

  #samples(ms: number): number {
    return Math.round((ms * this.#rateHz) / 1000);
  }
}
