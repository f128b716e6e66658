/** Choices of the user that the server does not offer any more: a voice that was deleted, a persona that was renamed. */
import type { Preferences } from "./preferences";

export type Choice = "language" | "voice" | "persona";

/** The choice that a refused session names and the user has made; null for any other refusal. */
export function rejectedChoice(code: string, preferences: Preferences): Choice | null {
  const choice = /^session\.unknown_(language|voice|persona)$/.exec(code)?.[1] as Choice | undefined;
  return choice && preferences[choice] ? choice : null;
}

export const REJECTED_CHOICE_NOTICES: Readonly<Record<Choice, string>> = {
  language: "The language that you chose before is not offered here any more. The server's own is used.",
  voice: "The voice that you chose before is gone. The voice of the language speaks.",
  persona: "The persona that you chose before is gone. The server's own answers.",
};
