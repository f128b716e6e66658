/** What was measured, for people to read. */
import { percentile } from "./hearing";

/** Prints how many values there are in milliseconds, their median and their 95th percentile. */
export function report(what: string, valuesMs: number[]): void {
  const [p50, p95] = [0.5, 0.95].map((share) => percentile(valuesMs, share).toFixed(1));
  process.stdout.write(`${what}: p50 ${p50} ms, p95 ${p95} ms (${valuesMs.length} measured)\n`);
}
