/** Statistics of measured delays. */

/** Prints the median, the 95th percentile and the number of values, in milliseconds. */
export function report(what: string, valuesMs: number[]): void {
  const [p50, p95] = [0.5, 0.95].map((share) => percentile(valuesMs, share).toFixed(1));
  process.stdout.write(`${what}: p50 ${p50} ms, p95 ${p95} ms (${valuesMs.length} measured)\n`);
}

/** The percentile of `values` at `share`, 0 to 1; NaN without values. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
