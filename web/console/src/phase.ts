/** The phase of the conversation, its label, and a hint for the user. */
import type { Conversation } from "./conversation_state";
import { isOpenElsewhere } from "./error_messages";
import { microphoneHint } from "./microphone_messages";
import { currentTurns } from "./past_conversations";

export type Phase =
  | "closed"
  | "reconnecting"
  | "connecting"
  | "user-speaking"
  | "paused"
  | "speaking"
  | "thinking"
  | "listening"
  | "idle";

/** How the user talks: with an open microphone, or with push-to-talk. */
export type TalkMode = "open" | "push";

export function phaseOf(state: Conversation, mode: TalkMode): Phase {
  switch (state.connection.state) {
    case "closed":
      return "closed";
    case "reconnecting":
      return "reconnecting";
    case "idle":
    case "connecting":
      return "connecting";
    case "open":
      break;
  }
  if (state.microphone === "starting") return "connecting";
  if (state.microphone === "on" && (mode === "push" || state.user === "speaking")) return "user-speaking";
  if (state.anchor !== "idle") return state.anchor;
  return state.microphone === "on" ? "listening" : "idle";
}

export const PHASE_LABELS: Readonly<Record<Phase, string>> = {
  closed: "Off air",
  reconnecting: "Reconnecting",
  connecting: "Connecting",
  "user-speaking": "Hearing you",
  paused: "Paused",
  speaking: "Speaking",
  thinking: "Thinking",
  listening: "Listening",
  idle: "Ready",
};

/** What the user can do now, in a sentence; `canTalk` says whether the page can use a microphone. */
export function phaseHint(state: Conversation, mode: TalkMode, canTalk = true): string {
  switch (phaseOf(state, mode)) {
    case "closed":
      return `${returnLabel(state.connection)} to go on.`;
    case "reconnecting":
      return state.microphone === "muted"
        ? "The microphone is muted until the server answers."
        : "The conversation goes on once the server answers.";
    case "connecting":
      return microphoneHint(state) || "One moment…";
    case "user-speaking":
      return mode === "push" ? "Let go when you have finished." : "Go on.";
    case "paused":
      return "Resume the reply, or stop it.";
    case "speaking":
      return canTalk ? interruptHint(state, mode) : "Read along, or stop the reply.";
    case "thinking":
      return "An answer is on its way.";
    case "listening":
      return "Speak when you like; a pause ends your turn.";
    case "idle":
      if (!canTalk) return "Write your question.";
      if (microphoneHint(state)) return microphoneHint(state);
      if (mode === "push") return "Hold the button, or the space bar, while you speak.";
      return currentTurns(state).length > 0 ? "The microphone is off." : "Press the button and ask.";
  }
}

/** What the button does that returns to a closed session. */
export function returnLabel(connection: Conversation["connection"]): string {
  return connection.state === "closed" && isOpenElsewhere(connection.code) ? "Take it over here" : "Connect again";
}

function interruptHint({ microphone, audioStarted }: Conversation, mode: TalkMode): string {
  if (!audioStarted) return "Press anywhere to hear the reply.";
  if (mode === "push") return "Hold to talk over the anchor.";
  return microphone === "on" ? "Talk over the anchor to stop the reply." : "The microphone is off.";
}
