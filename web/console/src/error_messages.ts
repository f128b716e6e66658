/** Texts for the server's codes and the browser's errors, for users who know neither. */
import { HOLD_HINT } from "./microphone_messages";

// By the service in the code: the part before the first dot.
const SERVICE_MESSAGES: Readonly<Record<string, string>> = {
  vad: "Pause detection is less exact at the moment.",
  stt: "The anchor cannot hear you at the moment. Writing works.",
  tts: "The voice is not available at the moment. Answers come as text.",
  llm: "The language model is not available at the moment.",
};

// The service is available: its own message says what it rejects.
const REJECTION_CODES = /\.(unknown_\w+|text_too_long)$/;

const CODE_MESSAGES: Readonly<Record<string, string>> = {
  "stt.late": "Understanding takes longer than usual. A moment, please.",
  "tts.late": "The voice takes longer than usual. A moment, please.",
  "stt.language_unsupported": "The engine here does not understand this language when spoken. Writing works.",
  "tts.language_unsupported": "No voice here speaks this language. Answers come as text.",
};

const SESSION_MESSAGES: Readonly<Record<string, string>> = {
  "session.already_open": "This conversation is open in another tab or on another device.",
  "session.taken_over": "This conversation goes on in another tab or on another device.",
  "session.at_capacity": "The server has no free session at the moment.",
  "admission.at_capacity": "As many people are waiting as the anchor can serve soon. Please try again later.",
  "session.not_ready": "The anchor is starting. A moment, please.",
  "session.moving": "The anchor is restarting. The conversation continues in a moment.",
  "session.no_playback_reports": "This page plays no sound at the moment. The answers go on as text.",
  "session.nothing_to_speak": "No more of that answer is known here.",
  "session.cut_off": "The server restarted in the middle. What was said before is still known.",
  "session.unknown_ticket": "The server no longer knows this conversation.",
};

/** The text for an `error` or an active `service_notice`; the server's `message` where the console has none. */
export function errorMessage(code: string, message: string): string {
  if (REJECTION_CODES.test(code)) return message;
  return SESSION_MESSAGES[code] ?? CODE_MESSAGES[code] ?? SERVICE_MESSAGES[code.split(".")[0] ?? ""] ?? message;
}

/** Whether a shown text says that the voice is away, which the next sound refutes. */
export function saysVoiceIsAway(notice: string): boolean {
  return notice === SERVICE_MESSAGES["tts"] || notice === CODE_MESSAGES["tts.late"];
}

/** Whether a shown text is settled by the next turn. The others stay until they are closed. */
export function isSettledByTurn(notice: string): boolean {
  return [HOLD_HINT, ...Object.values(CODE_MESSAGES), ...Object.values(SERVICE_MESSAGES)].includes(notice);
}

/** Whether a shown text says that the language is not understood when spoken, which a choice of another ends. */
export function saysLanguageIsUnsupported(notice: string): boolean {
  return notice === CODE_MESSAGES["stt.language_unsupported"];
}

/** The text for a closed session. */
export function closeMessage(code: string): string {
  if (SESSION_MESSAGES[code]) return SESSION_MESSAGES[code];
  return code ? `The session is over (${code}).` : "The session is over.";
}

/** The text for a session that reconnects; `code` is the server's reason, if it gave one. */
export function reconnectingMessage(code: string): string {
  return (
    SESSION_MESSAGES[code] ??
    "The connection to the server was lost. Reconnecting; the conversation continues where it stopped."
  );
}

/** The text for a written turn that could not be sent; the page keeps it. */
export function unsentMessage(connection: "idle" | "connecting" | "reconnecting" | "closed" | "open"): string {
  return connection === "closed"
    ? "Not sent: this page is off air. Your text is kept; return to the conversation, then send it again."
    : "Not sent: the server does not answer yet. Your text is kept; send it again in a moment.";
}

/** Whether another client has the conversation open, so that this page can take it over. */
export function isOpenElsewhere(code: string): boolean {
  return code === "session.already_open" || code === "session.taken_over";
}

/** The text for a microphone or player that failed to open, with a remedy. */
export function microphoneErrorMessage(error: unknown): string {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "The microphone is blocked for this page. Allow it beside the address above, then press again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Plug one in or choose another, then press again. Writing works meanwhile.";
    case "NotReadableError":
      return "Another program uses the microphone. Close it there, then press again.";
    default:
      return `The sound could not be started: ${error instanceof Error ? error.message : String(error)}`;
  }
}
