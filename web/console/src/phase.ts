/** The one word for what goes on, and the line that says so. */
import type { Conversation } from "./state";

export type Phase =
  "closed" | "reconnecting" | "connecting" | "hearing" | "paused" | "speaking" | "thinking" | "listening" | "idle";

/** Who decides when the user talks: the open microphone, or a button that is held. */
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
  if (state.held || (state.user === "speaking" && state.microphone === "on")) return "hearing";
  if (state.anchor !== "idle") return state.anchor;
  return state.microphone === "on" && mode === "open" ? "listening" : "idle";
}

export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  closed: "Off air",
  reconnecting: "Reconnecting",
  connecting: "Connecting",
  hearing: "Hearing you",
  paused: "Paused",
  speaking: "Speaking",
  thinking: "Thinking",
  listening: "Listening",
  idle: "Ready",
};

/** What the user may do now, in a sentence; `able` says whether this page may use a microphone. */
export function activity(state: Conversation, mode: TalkMode, able = true): string {
  switch (phaseOf(state, mode)) {
    case "closed":
      return "Connect again to go on.";
    case "reconnecting":
      return "Coming back on its own.";
    case "connecting":
      return "One moment…";
    case "hearing":
      return mode === "push" ? "Let go when you have said it." : "Go on.";
    case "paused":
      return "The reply is held where it was.";
    case "speaking":
      return able ? interrupting(state, mode) : "Read along, or stop the reply.";
    case "thinking":
      return "An answer is on its way.";
    case "listening":
      return "Ask anything, in your own words.";
    case "idle":
      if (!able) return "Write your question.";
      if (mode === "push") return "Hold the button, or the space bar, while you speak.";
      return state.turns.length > 0 ? "The microphone is off." : "Press the button and ask.";
  }
}

function interrupting({ microphone, sound }: Conversation, mode: TalkMode): string {
  if (!sound) return "Press anywhere to hear the reply.";
  if (mode === "push") return "Hold to talk over the anchor.";
  return microphone === "on" ? "Talk over the anchor to stop the reply." : "The microphone is off.";
}
