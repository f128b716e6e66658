/** Texts for what the microphone's track is, and why. */
import type { MicrophoneReason } from "@ai-anchor/client";
import type { Conversation } from "./conversation_state";

/** What is said of a button that was clicked, where it must be held. */
export const HOLD_HINT = "Hold the button while you speak.";

const NOTICES: Readonly<Partial<Record<MicrophoneReason, string>>> = {
  tapped: HOLD_HINT,
  lost: "The microphone was unplugged, or the browser has taken it away. It is closed.",
  slept: "This computer or page was asleep, so the microphone was closed.",
  hidden: "The microphone was closed when you left the page.",
  offline: "The server was away for a minute, so the microphone was closed.",
};

/** What to tell the user once; empty where the state itself says it. */
export function microphoneNotice(reason: MicrophoneReason): string {
  return NOTICES[reason] ?? "";
}

/** Whether a shown text is about a microphone that was off, which is refuted once it is on. */
export function saysMicrophoneIsOff(notice: string): boolean {
  return Object.values(NOTICES).includes(notice);
}

/** What the user should know as long as the microphone is so; empty where there is nothing to say. */
export function microphoneHint({ microphone, microphoneReason }: Conversation): string {
  if (microphone === "starting") return "Allow the microphone, if the browser asks.";
  if (microphone === "off" && microphoneReason === "refused") return "No microphone. Write, or press the button again.";
  if (microphone === "muted" && microphoneReason === "system")
    return "The system has muted the microphone: look for its switch.";
  return "";
}

/** The title of the page: what a user sees of it in another tab. */
export function pageTitle({ connection, microphone }: Conversation): string {
  const state = microphone === "on" ? "● Microphone on" : TITLES[connection.state];
  return state ? `${state} · AI Anchor` : "AI Anchor";
}

const TITLES: Readonly<Partial<Record<Conversation["connection"]["state"], string>>> = {
  closed: "Off air",
  reconnecting: "Reconnecting",
};
