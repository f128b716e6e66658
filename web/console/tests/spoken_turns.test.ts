import { create } from "@bufbuild/protobuf";
import { TurnSpokenSchema } from "@ai-anchor/client";
import { expect, test } from "vitest";
import * as script from "./script";
import { play, playFrom, SPEAKING } from "./script";

const SPOKEN = {
  turnId: 1,
  userBeganUnixS: 1000,
  userEndedUnixS: 1002,
  replyBeganUnixS: 1003,
  replyEndedUnixS: 1005.5,
  persona: "anchor",
  speaker: "Nora",
  voice: "hibari",
  language: "en",
};

const turnSpoken = (fields: Partial<typeof SPOKEN>) => ({
  case: "turnSpoken" as const,
  value: create(TurnSpokenSchema, { ...SPOKEN, ...fields }),
});
const startedAt = (sentUnixS: number, atMs: number) => ({
  kind: "message" as const,
  atMs,
  message: script.serverMessage({ case: "sessionStarted", value: { ticket: "t", sentUnixS, resumed: true } }),
});

test("the server's times and speaker replace what this page has seen", () => {
  const state = play(
    ...SPEAKING,
    script.replyFinished(1, { heardText: "Good evening.", heardMs: 900 }),
    turnSpoken({}),
  );
  expect(state.turns[0]).toMatchObject({
    userFromMs: 1_000_000,
    userToMs: 1_002_000,
    replyFromMs: 1_003_000,
    replyToMs: 1_005_500,
    speaker: "Nora",
    persona: "anchor",
    voice: "hibari",
    replyLanguage: "en",
  });
});

test("the server's times are put on this machine's clock", () => {
  const state = play(startedAt(900, 1_000_000), script.turnCommitted(1, "hello"), turnSpoken({}));
  expect(state.turns[0]).toMatchObject({ userFromMs: 1_100_000, replyFromMs: 1_103_000 });
});

test("a turn keeps its speaker when the persona changes", () => {
  const changed = { language: "de", persona: "iris", voice: "", patience: 1 };
  const state = play(...SPEAKING, turnSpoken({}), { case: "sessionUpdated", value: changed });
  expect(state.turns[0]).toMatchObject({ speaker: "Nora", replyLanguage: "en" });
});

test("a reply that was paused goes on later by the length of the pause", () => {
  const state = play(...SPEAKING, script.playback(1, 100, 1000), script.playback(1, 200, 1100));
  expect(state.turns[0]?.shifts).toEqual([]);
  const resumed = playFrom(state, script.playback(1, 300, 6100), script.playback(1, 400, 6200));
  expect(resumed.turns[0]).toMatchObject({ replyFromMs: 900, shifts: [{ fromMs: 200, byMs: 4900 }] });
});

test("the user's turn begins with the speech, not with its first words", () => {
  const at = (atMs: number, message: Parameters<typeof script.serverMessage>[0]) => ({
    kind: "message" as const,
    atMs,
    message: script.serverMessage(message),
  });
  const state = play(
    at(1000, { case: "speechStarted", value: { atMs: 0 } }),
    at(1700, script.partialTranscript(1, "how")),
    at(2500, { case: "speechStopped", value: { atMs: 1500 } }),
    at(3000, script.turnCommitted(1, "how is it")),
  );
  expect(state.turns[0]).toMatchObject({ userFromMs: 1000, userToMs: 2500 });
  // A noise in between belongs to no turn.
  const next = playFrom(
    state,
    at(4000, { case: "speechStarted", value: { atMs: 0 } }),
    at(9000, { case: "speechStarted", value: { atMs: 0 } }),
    at(9500, script.partialTranscript(2, "and")),
  );
  expect(next.turns[1]).toMatchObject({ userFromMs: 9000 });
});

test("a correction marks the turn that it replaces", () => {
  const state = play(script.turnCommitted(1, "the cake"), {
    case: "turnCommitted",
    value: { turnId: 2, text: "the ferry", replacesTurnId: 1 },
  });
  expect(state.turns.map(({ userText, replacedBy }) => [userText, replacedBy])).toEqual([
    ["the cake", 2],
    ["the ferry", null],
  ]);
});
