import { create } from "@bufbuild/protobuf";
import { SessionUpdatedSchema } from "@ai-anchor/client";
import { expect, test } from "vitest";
import { INITIAL_TRIAL, switchSlot, trialMessages, type TrialValues, trialValues } from "../src/trial";
import * as script from "./script";
import { play } from "./script";

const SERVERS: TrialValues = { patience: 1, stopMs: 0, minWords: 0 };
const BRISK: TrialValues = { patience: 0.5, stopMs: 200, minWords: 2 };

test("the other setting begins as a copy of this one, and keeps its own values", () => {
  const first = switchSlot(INITIAL_TRIAL, SERVERS);
  expect(first).toEqual({ trial: { slot: "B", other: SERVERS }, values: SERVERS });
  const back = switchSlot(first.trial, BRISK);
  expect(back).toEqual({ trial: { slot: "A", other: BRISK }, values: SERVERS });
  expect(switchSlot(back.trial, SERVERS)).toEqual({ trial: { slot: "B", other: SERVERS }, values: BRISK });
});

const MESSAGES: [values: TrialValues, messages: unknown[]][] = [
  [
    SERVERS,
    [
      { case: "setPatience", value: { patience: 1 } },
      // Without fields: the server's default.
      { case: "setBargeIn", value: {} },
    ],
  ],
  [
    BRISK,
    [
      { case: "setPatience", value: { patience: 0.5 } },
      { case: "setBargeIn", value: { stopMs: 200, minWords: 2 } },
    ],
  ],
  [{ patience: 0, stopMs: 300, minWords: 0 }, [{ case: "setBargeIn", value: { stopMs: 300 } }]],
];

test.for(MESSAGES)("the values %j reach the server", ([values, messages]) => {
  expect(trialMessages(values)).toEqual(messages);
});

test("a turn is measured under the setting in force when it was over", () => {
  const updated = (patience: number, stopMs?: number) => ({
    case: "sessionUpdated" as const,
    value: create(SessionUpdatedSchema, { patience, ...(stopMs ? { bargeIn: { stopMs } } : {}) }),
  });
  const state = play(
    script.sessionStarted(),
    script.turnCommitted(1, "one"),
    { kind: "trial", trial: { slot: "B", other: SERVERS } },
    updated(0.5, 200),
    script.turnCommitted(2, "two"),
    { kind: "trial", trial: { slot: "A", other: BRISK } },
    updated(1),
  );
  expect(state.turns.map(({ setting }) => setting)).toEqual([
    { slot: "A", patience: 1, stopMs: 0, minWords: 0 },
    { slot: "B", patience: 0.5, stopMs: 200, minWords: 0 },
  ]);
  expect(state.settings && trialValues(state.settings)).toEqual(SERVERS);
});
