// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { ConsoleStore } from "../../src/store";
import TrialPanel from "../../src/view/lab/TrialPanel";
import * as script from "../script";
import { play } from "../script";
import { rendered } from "./rendered";

test("spoken turns of both settings stand side by side, and written ones in neither", () => {
  const heard = (turnId: number, speechEndMs: number, firstSampleHeardMs: number) => ({
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId, speechEndMs, firstSampleHeardMs }),
  });
  const conversation = play(
    script.sessionStarted(),
    script.turnCommitted(1, "one"),
    heard(1, 900, 1300),
    { kind: "trial", trial: { slot: "B", other: null } },
    script.turnCommitted(2, "two"),
    heard(2, 900, 700),
    script.turnCommitted(3, "three"),
    heard(3, 0, 160),
  );
  const store = new ConsoleStore("ws://127.0.0.1", { getItem: () => null, setItem: () => undefined }, {});
  Object.defineProperty(store, "state", { get: () => ({ conversation, preferences: {}, microphoneSettings: null }) });
  const page = rendered(<TrialPanel store={store} />);
  const rows = [...page.querySelectorAll(".latency-table tbody tr")].map((row) =>
    [...row.children].map(({ textContent }) => textContent),
  );
  expect(rows).toEqual([
    ["turns", "1", "1"],
    ["p50", "1.30 s", "700 ms"],
    ["p95", "1.30 s", "700 ms"],
    ["heard", "1.30 s", "700 ms"],
  ]);
  expect(page.querySelector<HTMLInputElement>("input[type=radio]:checked")?.parentElement?.textContent).toBe(
    "Setting B",
  );
});
