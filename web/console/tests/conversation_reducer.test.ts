import { ServerMessageSchema, ServiceHealth, ServiceStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { captionSpans } from "../src/captions";
import { currentTurns, pastConversations } from "../src/past_conversations";
import { phaseOf } from "../src/phase";
import type { Turn } from "../src/turn";
import * as script from "./script";
import { OPEN, play, playFrom, SPEAKING, userTexts } from "./script";

test("a lost connection ends all speech and leaves no provisional words", () => {
  const state = play(...SPEAKING, script.partialTranscript(2, "and"), {
    kind: "connection",
    connection: { state: "reconnecting", code: "", retryInMs: 300 },
  });
  expect(state).toMatchObject({ user: "silent", anchor: "idle" });
  expect(state.turns.every(({ provisional }) => !provisional)).toBe(true);
  expect(phaseOf(state, "open")).toBe("reconnecting");
});

test("a new conversation keeps the turns apart, and the audio permission", () => {
  const state = play(...SPEAKING, { kind: "reset" }, script.turnCommitted(1, "first"));
  expect(userTexts(state)).toEqual(["hello", "first"]);
  expect(pastConversations(state)).toMatchObject([{ ending: "left", turns: [{ userText: "hello" }] }]);
  expect(currentTurns(state)).toMatchObject([{ userText: "first" }]);
  expect(state.audioStarted).toBe(true);
});

test("a new conversation after an empty one has nothing to keep", () => {
  expect(pastConversations(play(OPEN, script.sessionStarted(), { kind: "reset" }, { kind: "reset" }))).toEqual([]);
});

test("a session that is closed for good cuts the reply off where it sounded last", () => {
  const closed = { kind: "connection", connection: { state: "closed", code: "session.taken_over" } } as const;
  const marks = [script.speechMark(1, 0, 4, 0), script.speechMark(1, 5, 13, 500)];
  const sounded = play(...SPEAKING, ...marks, script.playback(1, 200), closed);
  expect(sounded.turns[0]).toMatchObject({ heardText: "Good", interrupted: true });
  expect(captionSpans(sounded.turns[0] as Turn, true).map(({ kind }) => kind)).toEqual(["heard", "cut"]);
  const complete = play(...SPEAKING, ...marks, script.playback(1, 900), closed);
  expect(complete.turns[0]).toMatchObject({ heardText: "Good evening.", interrupted: false });
  expect(play(...SPEAKING, closed).turns[0]).toMatchObject({ heardText: "", interrupted: true });
});

test("a lost connection leaves the services unknown until they report again", () => {
  const services = [create(ServiceStatusSchema, { service: "stt-service", health: ServiceHealth.READY })];
  const lost = { kind: "connection", connection: { state: "reconnecting", code: "", retryInMs: 300 } } as const;
  const state = play(OPEN, script.systemStatus({ services }), lost);
  expect(state.services).toMatchObject([{ service: "stt-service", health: ServiceHealth.UNSPECIFIED }]);
  const back = playFrom(state, OPEN, script.systemStatus({ services }));
  expect(back.services).toMatchObject([{ health: ServiceHealth.READY }]);
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
