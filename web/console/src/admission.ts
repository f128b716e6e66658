/** What a user is told while others speak: on the page, and aloud. */
import { type Admission, AdmissionState } from "@ai-anchor/client";

const S_PER_MIN = 60;

/** The text for who waits, or has just been admitted; empty for an unknown state. */
export function admissionMessage({ state, position, expectedWaitS }: Admission): string {
  switch (state) {
    case AdmissionState.WAITING:
      return (
        "As many people are speaking as the anchor can answer. " +
        `You are number ${String(position)} in the queue; it takes ${duration(expectedWaitS)}. ` +
        "Stay here, and speak again when it is your turn."
      );
    case AdmissionState.ADMITTED:
      return "It is your turn: please speak now.";
    default:
      return "";
  }
}

/** A rough duration, since an estimate in seconds would look exact. */
function duration(seconds: number): string {
  if (seconds < S_PER_MIN) return `about ${String(Math.max(5, Math.round(seconds / 5) * 5))} seconds`;
  const minutes = Math.round(seconds / S_PER_MIN);
  return minutes === 1 ? "about a minute" : `about ${String(minutes)} minutes`;
}

/** Says a text in the voice of the browser, where it has one: the anchor's own is busy. */
export function sayAloud(text: string): void {
  if (typeof speechSynthesis === "undefined" || typeof SpeechSynthesisUtterance === "undefined") return;
  const utterance = new SpeechSynthesisUtterance(text);
  utterance.lang = "en";
  speechSynthesis.cancel();
  speechSynthesis.speak(utterance);
}
