import { TurnEndPredictedSchema, WaitDecision } from "@ai-anchor/client";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { waitReason } from "../src/wait_reason";

// A value of a newer server.
const UNKNOWN: unknown = 99;

const WHOLE = {
  probability: 0.62,
  predictor: "smart-turn+text",
  waitMs: 690,
  patience: 1,
  opinions: [
    { name: "smart-turn", probability: 0.55 },
    { name: "text", probability: 0.7 },
  ],
};

const CASES: [name: string, wait: MessageInitShape<typeof TurnEndPredictedSchema>, short: string, full: string][] = [
  [
    "a prediction",
    { ...WHOLE, decidedBy: WaitDecision.PREDICTION },
    "62 % likely over: waited 690 ms",
    "Waited 690 ms in silence: the sentence was 62 % likely to be over (smart-turn+text: smart-turn 55 %, text 70 %).",
  ],
  [
    "certainty",
    { ...WHOLE, probability: 0.99, opinions: [], waitMs: 300, decidedBy: WaitDecision.FLOOR },
    "99 % likely over: the shortest wait",
    "Waited 300 ms in silence: the shortest wait, as the sentence was 99 % likely to be over (smart-turn+text).",
  ],
  [
    "an unfinished sentence",
    { ...WHOLE, probability: 0.02, predictor: "", opinions: [], waitMs: 3000, decidedBy: WaitDecision.CEILING },
    "2 % likely over: the longest wait",
    "Waited 3.00 s in silence: the longest wait, as the sentence was 2 % likely to be over.",
  ],
  [
    "a late prediction",
    { waitMs: 1050, patience: 1.5, decidedBy: WaitDecision.NO_JUDGEMENT },
    "no prediction in time: waited 1.05 s",
    "Waited 1.05 s in silence: no prediction came in time, so the usual wait applied. Your patience of 1.5 is part of it.",
  ],
  [
    "the user's pauses",
    { ...WHOLE, predictor: "text", opinions: [], waitMs: 800, patience: 0.5, decidedBy: WaitDecision.HABIT },
    "you went on after pauses: waited 800 ms",
    "Waited 800 ms in silence: you went on after such pauses before, and the sentence was 62 % likely to be over (text). Your patience of 0.5 is part of it.",
  ],
  [
    "a reason unknown to this version",
    { waitMs: 400, patience: 1, decidedBy: UNKNOWN as WaitDecision },
    "waited 400 ms",
    "Waited 400 ms in silence: the server gave a reason that this page does not know.",
  ],
];

test.for(CASES)("a wait by %s is explained", ([, wait, short, full]) => {
  const reason = waitReason(create(TurnEndPredictedSchema, wait));
  expect(reason).toEqual({ short, full, prospect: full.replace("Waited", "Waiting") });
  // The chart has no room for more.
  expect(reason.short.length).toBeLessThanOrEqual(44);
});
