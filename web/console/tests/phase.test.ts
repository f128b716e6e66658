import { expect, test } from "vitest";
import { type Conversation, INITIAL_CONVERSATION } from "../src/conversation_state";
import { phaseHint, phaseOf } from "../src/phase";
import { OPEN, play, playFrom, SPEAKING } from "./script";

const CONNECTED: Conversation = { ...INITIAL_CONVERSATION, connection: { state: "open" }, audioStarted: true };
const MUTE = { anchor: "speaking", audioStarted: false } as const;

test.each<[string, Partial<Conversation>, "open" | "push", boolean, RegExp]>([
  ["before the session opens", { connection: { state: "connecting" } }, "open", true, /moment/],
  ["while reconnecting", { connection: { state: "reconnecting", code: "", retryInMs: 1 } }, "open", true, /goes on/],
  ["when the session is over", { connection: { state: "closed", code: "" } }, "open", true, /Connect again/],
  ["at first", {}, "open", true, /Press the button/],
  ["at first, with push-to-talk", {}, "push", true, /space bar/],
  ["at first, without a microphone", {}, "open", false, /Write/],
  ["while the talk button is held", { talkHeld: true }, "push", true, /Let go/],
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

test("the phase is listening with an open microphone, idle with push-to-talk", () => {
  const state = play(OPEN, { kind: "microphone", microphone: "on" });
  expect(phaseOf(state, "open")).toBe("listening");
  expect(phaseOf(state, "push")).toBe("idle");
  expect(phaseOf(playFrom(state, { kind: "talkButton", held: true }), "push")).toBe("user-speaking");
});

test("the phase is the user's when both speak", () => {
  const speaking = play(...SPEAKING, { kind: "microphone", microphone: "on" });
  expect(phaseOf(speaking, "open")).toBe("speaking");
  const both = playFrom(speaking, { case: "speechStarted", value: { atMs: 1 } });
  expect(phaseOf(both, "open")).toBe("user-speaking");
});
