// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { SidePanel } from "../../src/view/SidePanel";
import * as script from "../script";
import { play } from "../script";
import { rendered } from "./rendered";

const NO_RECORDING = {
  isRunning: false,
  lengthMs: 0,
  last: null,
  failure: "",
  start: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};

test("the monitor shows the last, median and 95th percentile response time", () => {
  const timed = [400, 600, 2600].map((firstFrameSentMs, index) => ({
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId: index + 1, firstFrameSentMs, budgetMs: 2000 }),
  }));
  const figures = rendered(
    <SidePanel conversation={play(...timed)} recording={NO_RECORDING} ticket="t" onClose={() => undefined} />,
  ).querySelectorAll("dd");
  expect([...figures].map(({ textContent }) => textContent)).toEqual(["2.60 s", "600 ms", "2.60 s"]);
});
