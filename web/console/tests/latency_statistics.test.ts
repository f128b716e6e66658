import type { LatencyWaterfallSchema } from "@ai-anchor/client";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { latencyStatistics, statisticsByKind, type TurnKind, turnKind } from "../src/latency_statistics";
import { newTurn, type Turn } from "../src/turn";
import { latencyWaterfall } from "./script";

const measured = (fields: MessageInitShape<typeof LatencyWaterfallSchema>, engine = "briefing"): Turn => ({
  ...newTurn(1, 1),
  engine,
  latency: latencyWaterfall(fields),
});
const spoken = (firstSampleHeardMs: number, turnCommittedMs: number): Turn =>
  measured({ speechEndMs: 1200, turnCommittedMs, firstSampleHeardMs });

const KINDS: [name: string, turn: Turn, kind: TurnKind][] = [
  ["a question aloud", spoken(900, 400), "spoken"],
  ["a question in writing", measured({ turnCommittedMs: 0, firstSampleHeardMs: 160 }), "written"],
  ["the apology for a question that was not understood", { ...spoken(500, 400), engine: "phrase" }, "phrase"],
  ["a fixed answer to a written turn", measured({ firstSampleHeardMs: 79 }, "phrase"), "phrase"],
];

test.for(KINDS)("%s counts by itself", ([, turn, kind]) => {
  expect(turnKind(turn)).toBe(kind);
  const others = Object.entries(statisticsByKind([turn])).filter(([, statistics]) => statistics !== null);
  expect(others.map(([name]) => name)).toEqual([kind]);
});

test("the statistics of spoken turns are not changed by others", () => {
  const turns = [spoken(1300, 900), spoken(650, 350), spoken(800, 400)];
  const mixed = [...turns, measured({ firstSampleHeardMs: 160 }), measured({ firstSampleHeardMs: 79 }, "phrase")];
  expect(statisticsByKind(mixed).spoken).toEqual({
    count: 3,
    p50Ms: 800,
    p95Ms: 1300,
    stages: [
      { name: "turn over", medianMs: 400, count: 3 },
      { name: "heard", medianMs: 800, count: 3 },
    ],
  });
  expect(statisticsByKind(mixed).written?.p50Ms).toBe(160);
});

test("a stage that was not always reached has the median of the turns that reached it", () => {
  const statistics = latencyStatistics([
    measured({ firstTokenMs: -50, firstFrameSentMs: 400 }),
    measured({ firstFrameSentMs: 500, firstSampleHeardMs: 700 }),
  ]);
  expect(statistics).toEqual({
    count: 2,
    p50Ms: 400,
    p95Ms: 700,
    stages: [
      { name: "first word", medianMs: -50, count: 1 },
      { name: "sent", medianMs: 400, count: 2 },
      { name: "heard", medianMs: 700, count: 1 },
    ],
  });
});

test("turns without a sound, or without figures yet, are not counted", () => {
  expect(latencyStatistics([newTurn(1, 1), measured({ speechEndMs: 900, firstTokenMs: 300 })])).toBeNull();
  expect(statisticsByKind([newTurn(1, 1)])).toEqual({ spoken: null, written: null, phrase: null });
});
