// Brings audio of any rate to another, chunk by chunk without seams: a windowed-sinc filter in polyphase form.

// Zero crossings of the sinc on each side; 16 keep what would alias more than 60 dB down.
const CROSSINGS = 16;
// Where the filter begins to close, as a share of the lower rate's half.
const PASS_SHARE = 0.92;

export class Resampler {
  constructor(inputHz, outputHz) {
    const divisor = greatestCommonDivisor(inputHz, outputHz);
    this.phases = outputHz / divisor;
    this.step = inputHz / divisor;
    const cutoff = PASS_SHARE * Math.min(1, outputHz / inputHz);
    this.half = Math.ceil(CROSSINGS / cutoff);
    this.taps = this.half * 2;
    this.kernels = Array.from({ length: this.phases }, (_, phase) => this.#kernel(phase / this.phases, cutoff));
    // The newest `taps` samples, twice, so that any window of them lies in one piece.
    this.history = new Float32Array(this.taps * 2);
    this.at = 0;
    this.phase = 0;
  }

  // Feeds one sample and calls `emit(sample)` for every output sample that is due: none, one or more.
  push(sample, emit) {
    this.history[this.at] = sample;
    this.history[this.at + this.taps] = sample;
    this.at = (this.at + 1) % this.taps;
    for (; this.phase < this.phases; this.phase += this.step) emit(this.#filtered(this.kernels[this.phase]));
    this.phase -= this.phases;
  }

  #filtered(kernel) {
    let sum = 0;
    for (let tap = 0; tap < this.taps; tap += 1) sum += kernel[tap] * this.history[this.at + tap];
    return sum;
  }

  #kernel(fraction, cutoff) {
    const kernel = new Float32Array(this.taps);
    let sum = 0;
    for (let tap = 0; tap < this.taps; tap += 1) {
      const x = tap - this.half + 1 - fraction;
      const window = Math.abs(x) < this.half ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.half) : 0;
      kernel[tap] = window * sinc(cutoff * x);
      sum += kernel[tap];
    }
    return kernel.map((value) => value / sum);
  }
}

function sinc(x) {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function greatestCommonDivisor(a, b) {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
