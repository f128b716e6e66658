import { expect, test } from "vitest";
import { activity } from "../src/phase";
import { type Conversation, INITIAL } from "../src/state";

const OPEN: Conversation = { ...INITIAL, connection: { state: "open" }, sound: true };

test.each<[string, Partial<Conversation>, "open" | "push", boolean, RegExp]>([
  ["before the session is open", { connection: { state: "connecting" } }, "open", true, /moment/],
  ["when the line dropped", { connection: { state: "reconnecting", code: "", retryInMs: 1 } }, "open", true, /back/],
  ["when the session is over", { connection: { state: "closed", code: "" } }, "open", true, /Connect again/],
  ["at first", {}, "open", true, /Press the button/],
  ["at first, with push-to-talk", {}, "push", true, /space bar/],
  ["at first, without a microphone to be had", {}, "open", false, /Write/],
  ["while the button is held", { held: true }, "push", true, /Let go/],
  ["with the microphone open", { microphone: "on" }, "open", true, /Ask anything/],
  ["while the anchor thinks", { anchor: "thinking" }, "open", true, /on its way/],
  ["while it speaks into an open microphone", { anchor: "speaking", microphone: "on" }, "open", true, /Talk over/],
  ["while it speaks and waits for the button", { anchor: "speaking" }, "push", true, /Hold to talk over/],
  ["while it speaks and the browser wants a gesture", { anchor: "speaking", sound: false }, "open", true, /anywhere/],
  ["while it speaks in text only", { anchor: "speaking", sound: false }, "open", false, /Read along/],
  ["while it is held", { anchor: "paused" }, "open", true, /held/],
])("%s the page says what can be done", (_, state, mode, able, words) => {
  expect(activity({ ...OPEN, ...state }, mode, able)).toMatch(words);
});
