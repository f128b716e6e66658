/** The microphone's level and the probability of speech over the last seconds, as lines of a chart. Pure. */
import { meterFraction } from "./level";

/** The chart shows this much time. */
export const GRAPH_MS = 10_000;
/** Points beyond this count are dropped, oldest first: twice of what arrives in `GRAPH_MS`. */
export const MAX_POINTS = 1000;

/** A value from 0 to 1 at a time on any clock, in milliseconds. */
export interface GraphPoint {
  atMs: number;
  value: number;
}

/** `points` with one more at their end, without those that the chart shows no longer. */
export function withPoint(points: readonly GraphPoint[], point: GraphPoint): GraphPoint[] {
  const oldestMs = point.atMs - GRAPH_MS;
  return [...points.filter(({ atMs }) => atMs >= oldestMs), point].slice(-MAX_POINTS);
}

/** The point of the level meter for a peak, linear in decibels. */
export function levelPoint(peak: number, atMs: number): GraphPoint {
  return { atMs, value: meterFraction(peak) };
}

/**
 * The line through `points` as an SVG path, the newest time at the right. A gap of more than `gapMs` interrupts it, so
 * that a missing measurement does not look like a value.
 */
export function graphPath(
  points: readonly GraphPoint[],
  { nowMs, width, height, gapMs }: { nowMs: number; width: number; height: number; gapMs: number },
): string {
  let path = "";
  let lastMs: number | null = null;
  for (const { atMs, value } of points) {
    if (atMs < nowMs - GRAPH_MS) continue;
    const x = width * (1 - (nowMs - atMs) / GRAPH_MS);
    const y = height * (1 - Math.max(0, Math.min(1, value)));
    const command = lastMs === null || atMs - lastMs > gapMs ? "M" : "L";
    path += `${command}${x.toFixed(1)} ${y.toFixed(1)}`;
    lastMs = atMs;
  }
  return path;
}
