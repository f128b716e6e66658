// Plays replies and says how much of them has been heard. All audio waits in one ring; a mark in front of a run of
// samples says which reply it belongs to and where in it.

// The server sends at most two seconds ahead; what exceeds the ring is dropped, newest first.
const RING_SECONDS = 12;
// Audio to have in hand before playing on: little at first, more after the line proved uneven.
const START_MS = 20;
const RESTART_MS = 80;
const REPORT_MS = 100;
// A step in the waveform is a click; five milliseconds of fading are not heard.
const FADE_MS = 5;

class Playback extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ring = new Float32Array(RING_SECONDS * sampleRate);
    this.latency = 0;
    this.reportEvery = Math.round((REPORT_MS * sampleRate) / 1000);
    this.fadeStep = 1000 / (FADE_MS * sampleRate);
    this.clear();
    this.gain = 0;
    this.stopping = false;
    this.port.onmessage = ({ data }) => this[data.command](data);
  }

  // Commands from the page ---------------------------------------------------------------------------------------

  place({ turnId, offsetMs, latencyMs }) {
    if (this.stopping || this.newestTurn !== turnId) this.clear();
    this.stopping = false;
    this.newestTurn = turnId;
    this.latency = Math.round((latencyMs * sampleRate) / 1000);
    this.marks.push({ at: this.written, turnId, offset: Math.round((offsetMs * sampleRate) / 1000) });
  }

  push({ pcm }) {
    const samples = new Int16Array(pcm);
    const room = this.ring.length - (this.written - this.read);
    const count = Math.min(samples.length, room);
    for (let index = 0; index < count; index += 1) {
      this.ring[(this.written + index) % this.ring.length] = samples[index] / 32768;
    }
    this.written += count;
    if (count < samples.length) this.port.postMessage({ type: "overflow", samples: samples.length - count });
  }

  pause() {
    this.paused = true;
  }

  resume() {
    this.paused = false;
  }

  stop() {
    this.stopping = true;
  }

  // All audio of the reply is here: play on however little it is.
  end() {
    this.needed = 0;
  }

  // Playing ------------------------------------------------------------------------------------------------------

  clear() {
    this.marks = [];
    this.current = null;
    this.written = 0;
    this.read = 0;
    this.needed = Math.round((START_MS * sampleRate) / 1000);
    this.running = false;
    this.paused = false;
    this.newestTurn = undefined;
    this.silentFor = 0;
    this.sinceReport = 0;
    this.heardBefore = 0;
    this.peak = 0;
  }

  process(_, [output]) {
    const channel = output[0];
    for (let index = 0; index < channel.length; index += 1) channel[index] = this.next();
    for (let other = 1; other < output.length; other += 1) output[other].set(channel);
    this.report(channel.length);
    return true;
  }

  next() {
    const silence = this.paused || this.stopping;
    if (silence && this.gain <= 0 && this.stopping) {
      this.clear();
      this.stopping = false;
    }
    const waiting = this.written - this.read;
    if (!this.running) this.running = waiting > 0 && waiting >= this.needed;
    if (!this.running || (silence && this.gain <= 0)) {
      this.gain = 0;
      this.silentFor += 1;
      return 0;
    }
    this.gain = Math.max(0, Math.min(1, this.gain + (silence ? -this.fadeStep : this.fadeStep)));
    while (this.marks.length > 0 && this.marks[0].at <= this.read) this.current = this.marks.shift();
    const sample = this.ring[this.read % this.ring.length] * this.gain;
    this.read += 1;
    this.silentFor = 0;
    this.peak = Math.max(this.peak, Math.abs(sample));
    if (this.read === this.written) {
      this.running = false;
      this.needed = Math.round((RESTART_MS * sampleRate) / 1000);
    }
    return sample;
  }

  // What left this node is heard when it has passed the sound card: until then it does not count.
  report(samples) {
    if (!this.current) return;
    const played = this.current.offset + this.read - this.current.at;
    const heard = Math.max(0, played - Math.max(0, this.latency - this.silentFor));
    this.sinceReport += samples;
    const first = this.heardBefore === 0 && heard > 0;
    const last = this.silentFor > 0 && heard !== this.heardBefore && heard === played;
    if (!first && !last && (this.sinceReport < this.reportEvery || heard === this.heardBefore)) return;
    const playedMs = Math.round((heard * 1000) / sampleRate);
    this.port.postMessage({ type: "progress", turnId: this.current.turnId, playedMs, peak: this.peak });
    this.heardBefore = heard;
    this.sinceReport = 0;
    this.peak = 0;
  }
}

registerProcessor("playback", Playback);
