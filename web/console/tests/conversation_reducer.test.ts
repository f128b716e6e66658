import { ServerMessageSchema } from "@ai-anchor/client";
import { expect, test } from "vitest";
import { phaseOf } from "../src/phase";
import * as script from "./script";
import { play, SPEAKING, userTexts } from "./script";

test("a lost connection ends all speech and leaves no provisional words", () => {
  const state = play(...SPEAKING, script.partialTranscript(2, "and"), {
    kind: "connection",
    connection: { state: "reconnecting", code: "", retryInMs: 300 },
  });
  expect(state).toMatchObject({ user: "silent", anchor: "idle" });
  expect(state.turns.every(({ provisional }) => !provisional)).toBe(true);
  expect(phaseOf(state, "open")).toBe("reconnecting");
});

test("a reset drops the turns and keeps the audio permission", () => {
  const state = play(...SPEAKING, { kind: "reset" }, script.turnCommitted(1, "first"));
  expect(userTexts(state)).toEqual(["first"]);
  expect(state.audioStarted).toBe(true);
});

test("a page that stays open keeps the last two hundred turns", () => {
  const state = play(...Array.from({ length: 230 }, (_, id) => script.turnCommitted(id, `turn ${id}`)));
  expect(state.turns).toHaveLength(200);
  expect(state.turns[0]?.userText).toBe("turn 30");
});

test("every server message has a case", () => {
  for (const { localName } of ServerMessageSchema.oneofs[0]?.fields ?? []) {
    expect(() => play({ case: localName, value: {} } as Parameters<typeof script.serverMessage>[0])).not.toThrow();
  }
});
