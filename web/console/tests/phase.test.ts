import { expect, test } from "vitest";
import { type Conversation, INITIAL_CONVERSATION } from "../src/conversation_state";
import { phaseHint, phaseOf } from "../src/phase";
import { OPEN, play, playFrom, SPEAKING } from "./script";

const CONNECTED: Conversation = { ...INITIAL_CONVERSATION, connection: { state: "open" }, audioStarted: true };
const TAKEN_OVER = { state: "closed", code: "session.taken_over" } as const;
const LOST = { state: "reconnecting", code: "", retryInMs: 1 } as const;
const MUTE = { anchor: "speaking", audioStarted: false } as const;

test.each<[string, Partial<Conversation>, "open" | "push", boolean, RegExp]>([
  ["before the session opens", { connection: { state: "connecting" } }, "open", true, /moment/],
  ["while reconnecting", { connection: { state: "reconnecting", code: "", retryInMs: 1 } }, "open", true, /goes on/],
  ["when the session is over", { connection: { state: "closed", code: "" } }, "open", true, /Connect again/],
  ["when it was taken over", { connection: TAKEN_OVER }, "open", true, /^Take it over here/],
  [
    "while reconnecting, with a muted microphone",
    { connection: LOST, microphone: "muted" },
    "open",
    true,
    /muted until/,
  ],
  ["while the browser asks for permission", { microphone: "starting" }, "open", true, /Allow/],
  ["after a refusal", { microphoneReason: "refused" }, "open", true, /Write/],
  ["while the system mutes", { microphone: "muted", microphoneReason: "system" }, "open", true, /switch/],
  ["at first", {}, "open", true, /Press the button/],
  ["at first, with push-to-talk", {}, "push", true, /space bar/],
  ["at first, without a microphone", {}, "open", false, /Write/],
  ["while the talk button is held", { microphone: "on" }, "push", true, /Let go/],
  ["with the microphone open", { microphone: "on" }, "open", true, /Speak when you like/],
  ["while the anchor thinks", { anchor: "thinking" }, "open", true, /on its way/],
  ["while it speaks, with the microphone open", { anchor: "speaking", microphone: "on" }, "open", true, /Talk over/],
  ["while it speaks, with push-to-talk", { anchor: "speaking" }, "push", true, /Hold to talk over/],
  ["while it speaks and the browser needs a gesture", MUTE, "open", true, /anywhere/],
  ["while it answers in text only", MUTE, "open", false, /Read along/],
  ["while it is paused", { anchor: "paused" }, "open", true, /Resume/],
])("%s the hint says what the user can do", (_, state, mode, canTalk, words) => {
  expect(phaseHint({ ...CONNECTED, ...state }, mode, canTalk)).toMatch(words);
});

test("the phase is listening with an open microphone, the user's with push-to-talk, and idle once muted", () => {
  const state = play(OPEN, { kind: "microphone", microphone: "on" });
  expect(phaseOf(state, "open")).toBe("listening");
  expect(phaseOf(state, "push")).toBe("user-speaking");
  const muted = playFrom(state, { kind: "microphone", microphone: "muted", reason: "released" });
  expect(phaseOf(muted, "push")).toBe("idle");
  // The server may repeat the last edge of speech after a reconnect.
  expect(phaseOf(playFrom(muted, { case: "speechStarted", value: { atMs: 1 } }), "push")).toBe("idle");
});

test("the phase is the user's when both speak", () => {
  const speaking = play(...SPEAKING, { kind: "microphone", microphone: "on" });
  expect(phaseOf(speaking, "open")).toBe("speaking");
  const both = playFrom(speaking, { case: "speechStarted", value: { atMs: 1 } });
  expect(phaseOf(both, "open")).toBe("user-speaking");
});
