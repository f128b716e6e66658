import { expect, test } from "vitest";
import { type Announcements, NO_ANNOUNCEMENTS, nextAnnouncements } from "../src/announcements";
import type { ConversationEvent } from "../src/conversation_reducer";
import { type Conversation, INITIAL_CONVERSATION } from "../src/conversation_state";
import { phaseOf } from "../src/phase";
import * as script from "./script";
import { OPEN, playFrom } from "./script";

type Step = Parameters<typeof playFrom>[1];

const SOUND: ConversationEvent = { kind: "audioStarted" };
const MICROPHONE: ConversationEvent = { kind: "microphone", microphone: "on" };
const QUESTION: readonly Step[] = [
  { case: "speechStarted", value: { atMs: 1 } },
  { case: "speechStopped", value: { atMs: 9 } },
  script.turnCommitted(1, "hello"),
];
const REPLY: readonly Step[] = [script.replyStarted(1), script.replyText(1, "Good evening."), script.replyAudio(1)];
const HEARD = script.replyFinished(1, { heardText: "Good evening.", heardMs: 900 });

/** What was announced by the end, and after each step. */
function announced(...steps: readonly Step[]): { all: string[]; after: string[][] } {
  let conversation: Conversation = INITIAL_CONVERSATION;
  let announcements: Announcements = NO_ANNOUNCEMENTS;
  const after = steps.map((step) => {
    const count = announcements.shown.length;
    conversation = playFrom(conversation, step);
    announcements = nextAnnouncements(announcements, conversation, phaseOf(conversation, "open"));
    return announcements.shown.slice(count).map(({ text }) => text);
  });
  return { all: after.flat(), after };
}

test("nothing is announced from the first sound of a question to the end of its reply", () => {
  const { after } = announced(OPEN, SOUND, MICROPHONE, ...QUESTION, ...REPLY, HEARD);
  expect(after.slice(0, 3).flat()).toEqual(["Ready", "Listening"]);
  expect(after.slice(3, -1).flat()).toEqual([]);
  // The reply was heard; it is not read again. Of the phases that passed, the last one counts.
  expect(after.at(-1)).toEqual(["You: hello", "Listening"]);
});

test("without sound the reply is read when it is complete", () => {
  const { all } = announced(OPEN, script.turnCommitted(1, "hello"), ...REPLY, HEARD);
  expect(all).toEqual(["Ready", "You: hello", "Anchor: Good evening.", "Ready"]);
});

test("a pause and a lost connection are announced at once", () => {
  const paused = announced(OPEN, SOUND, ...QUESTION, ...REPLY, { case: "playbackPause", value: { turnId: 1 } });
  expect(paused.after.at(-1)).toEqual(["You: hello", "Paused"]);
  const lost = announced(OPEN, SOUND, ...QUESTION, ...REPLY, {
    kind: "connection",
    connection: { state: "reconnecting", code: "", retryInMs: 1 },
  });
  expect(lost.after.at(-1)).toEqual(["You: hello", "Reconnecting"]);
});

test("partial words are never announced, and a failure is", () => {
  const failure = { case: "turnFailed", value: { turnId: 1, code: "llm.down", message: "No answer." } } as const;
  const { all } = announced(OPEN, script.partialTranscript(1, "hel"), script.turnCommitted(1, "hello"), failure);
  expect(all).toEqual(["Ready", "You: hello", "No answer.", "Ready"]);
});

test("nothing new leaves the announcements as they are", () => {
  const conversation = playFrom(INITIAL_CONVERSATION, OPEN, ...QUESTION);
  const once = nextAnnouncements(NO_ANNOUNCEMENTS, conversation, "thinking");
  expect(nextAnnouncements(once, conversation, "thinking")).toBe(once);
});
