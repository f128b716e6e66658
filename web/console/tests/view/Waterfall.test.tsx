// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { Waterfall } from "../../src/view/Waterfall";
import * as script from "../script";
import { rendered } from "./rendered";

test("the label lists the stages, and late stages are marked", () => {
  const latency = script.latencyWaterfall({ turnCommittedMs: 400, firstFrameSentMs: 2400, budgetMs: 2000 });
  const svg = rendered(<Waterfall latency={latency} />).querySelector("svg");
  expect(svg?.getAttribute("aria-label")).toBe(
    "After the end of speech: turn over 400 ms, sent 2.40 s. Budget 2.00 s.",
  );
  expect(document.querySelectorAll(".stage-late")).toHaveLength(1);
});
