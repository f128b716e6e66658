/** Streaming sample-rate conversion between any two rates: a windowed-sinc filter in polyphase form. */

// Zero crossings of the sinc on each side; 16 attenuate aliases by more than 60 dB.
const CROSSINGS = 16;
// Cutoff, as a share of half the lower rate.
const PASS_SHARE = 0.92;

export class Resampler {
  readonly #phases: number;
  readonly #step: number;
  readonly #half: number;
  readonly #taps: number;
  readonly #kernels: readonly Float32Array[];
  // The newest `taps` samples, stored twice, so that every window of them is contiguous.
  readonly #history: Float32Array;
  #writeIndex = 0;
  #phase = 0;

  constructor(inputHz: number, outputHz: number) {
    const divisor = greatestCommonDivisor(inputHz, outputHz);
    this.#phases = outputHz / divisor;
    this.#step = inputHz / divisor;
    const cutoff = PASS_SHARE * Math.min(1, outputHz / inputHz);
    this.#half = Math.ceil(CROSSINGS / cutoff);
    this.#taps = this.#half * 2;
    this.#kernels = Array.from({ length: this.#phases }, (_, phase) => this.#makeKernel(phase / this.#phases, cutoff));
    this.#history = new Float32Array(this.#taps * 2);
  }

  /** Appends one input sample and calls `emit` for every output sample due: none, one or more. */
  push(sample: number, emit: (sample: number) => void): void {
    this.#history[this.#writeIndex] = sample;
    this.#history[this.#writeIndex + this.#taps] = sample;
    this.#writeIndex = (this.#writeIndex + 1) % this.#taps;
    for (; this.#phase < this.#phases; this.#phase += this.#step) emit(this.#convolve(this.#phase));
    this.#phase -= this.#phases;
  }

  #convolve(phase: number): number {
    const kernel = this.#kernels[phase] as Float32Array;
    let sum = 0;
    for (let tap = 0; tap < this.#taps; tap += 1) {
      sum += (kernel[tap] as number) * (this.#history[this.#writeIndex + tap] as number);
    }
    return sum;
  }

  #makeKernel(fraction: number, cutoff: number): Float32Array {
    const kernel = Float32Array.from({ length: this.#taps }, (_, tap) => {
      const x = tap - this.#half + 1 - fraction;
      const window = Math.abs(x) < this.#half ? 0.5 + 0.5 * Math.cos((Math.PI * x) / this.#half) : 0;
      return window * sinc(cutoff * x);
    });
    const sum = kernel.reduce((total, weight) => total + weight, 0);
    return kernel.map((weight) => weight / sum);
  }
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
