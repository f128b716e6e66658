// @vitest-environment happy-dom
import { TurnEndPredictedSchema, WaitDecision } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { Waterfall } from "../../src/view/Waterfall";
import * as script from "../script";
import { rendered } from "./rendered";

test("the label lists the stages, and late stages are marked", () => {
  const latency = script.latencyWaterfall({ turnCommittedMs: 400, firstFrameSentMs: 2400, budgetMs: 2000 });
  const svg = rendered(<Waterfall latency={latency} wait={null} />).querySelector("svg");
  expect(svg?.getAttribute("aria-label")).toBe(
    "After the end of speech: turn over 400 ms, sent 2.40 s. Budget 2.00 s.",
  );
  expect(document.querySelectorAll(".stage-late")).toHaveLength(1);
});

test("the wait is drawn under the bar that it ends, and in the label", () => {
  const latency = script.latencyWaterfall({ speechStoppedMs: 100, turnCommittedMs: 700, firstFrameSentMs: 720 });
  const wait = create(TurnEndPredictedSchema, {
    probability: 0.6,
    waitMs: 690,
    patience: 1,
    decidedBy: WaitDecision.PREDICTION,
  });
  const page = rendered(<Waterfall latency={latency} wait={wait} />);
  expect(page.querySelector(".wait-text")?.textContent).toBe("60 % likely over: waited 690 ms");
  expect(page.querySelector("svg")?.getAttribute("aria-label")).toContain("60 % likely to be over");
  // Without "turn over" there is no bar to explain.
  const spoken = rendered(<Waterfall latency={script.latencyWaterfall({ speechStoppedMs: 100 })} wait={wait} />);
  expect(spoken.querySelector(".wait-text")).toBeNull();
});
