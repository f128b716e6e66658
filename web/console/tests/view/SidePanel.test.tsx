// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { ConsoleStore } from "../../src/store";
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
const storage = { getItem: () => null, setItem: () => undefined };

test("the monitor shows the last, median and 95th percentile response time", () => {
  const timed = [400, 600, 2600].map((firstFrameSentMs, index) => ({
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId: index + 1, firstFrameSentMs, budgetMs: 2000 }),
  }));
  const store = new ConsoleStore("ws://127.0.0.1", storage, {});
  const figures = rendered(
    <SidePanel
      store={store}
      conversation={play(...timed)}
      recording={NO_RECORDING}
      ticket="t"
      onClose={() => undefined}
    />,
  ).querySelectorAll("dd");
  expect([...figures].map(({ textContent }) => textContent)).toEqual(["2.60 s", "600 ms", "2.60 s"]);
});
