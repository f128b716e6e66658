import { expect, test } from "vitest";
import { GRAPH_MS, graphPath, levelPoint, MAX_POINTS, withPoint, type GraphPoint } from "../src/speech_graph";

const CHART = { nowMs: 20_000, width: 100, height: 50, gapMs: 300 };

test.for<[name: string, points: GraphPoint[], path: string]>([
  ["nothing", [], ""],
  ["the newest value at the right", [{ atMs: 20_000, value: 1 }], "M100.0 0.0"],
  [
    "a line",
    [
      { atMs: 15_000, value: 0 },
      { atMs: 15_100, value: 0.5 },
    ],
    "M50.0 50.0L51.0 25.0",
  ],
  [
    "a gap",
    [
      { atMs: 15_000, value: 0 },
      { atMs: 15_301, value: 1 },
    ],
    "M50.0 50.0M53.0 0.0",
  ],
  [
    "values beyond the scale",
    [
      { atMs: 20_000, value: 7 },
      { atMs: 20_000, value: -1 },
    ],
    "M100.0 0.0L100.0 50.0",
  ],
  ["points that are too old", [{ atMs: 9_999, value: 1 }], ""],
])("the chart draws %s", ([, points, path]) => {
  expect(graphPath(points, CHART)).toBe(path);
});

test("points are kept as long as the chart shows them, and no more than fit", () => {
  const old = [{ atMs: 0, value: 0 }];
  expect(withPoint(old, { atMs: GRAPH_MS, value: 1 })).toHaveLength(2);
  expect(withPoint(old, { atMs: GRAPH_MS + 1, value: 1 })).toHaveLength(1);
  const many = Array.from({ length: MAX_POINTS }, () => ({ atMs: 5, value: 0 }));
  expect(withPoint(many, { atMs: 6, value: 1 })).toHaveLength(MAX_POINTS);
});

test("the level is drawn as the meter shows it", () => {
  expect(levelPoint(1, 5)).toEqual({ atMs: 5, value: 1 });
  expect(levelPoint(0.001, 5).value).toBeCloseTo(0);
});
