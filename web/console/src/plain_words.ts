/** What codes and browsers' errors mean to someone who knows neither the services nor the browser. */

// By the first word of a service's code.
const SERVICES: Readonly<Record<string, string>> = {
  vad: "Listening for pauses is less exact at the moment.",
  stt: "The anchor cannot hear you at the moment. Writing works.",
  tts: "The voice is away at the moment. Answers come in text.",
  llm: "The language model is away at the moment.",
};

// The service is there, and says itself what it cannot do.
const OWN_WORDS = /\.(unknown_\w+|text_too_long)$/;

const CODES: Readonly<Record<string, string>> = {
  "stt.language_unsupported": "The engine here does not understand this language when spoken. Writing works.",
  "tts.language_unsupported": "No voice here speaks this language. Answers come in text.",
};

const ENDINGS: Readonly<Record<string, string>> = {
  "session.already_open": "This conversation is open in another tab or on another device.",
  "session.taken_over": "This conversation goes on in another tab or on another device.",
  "session.at_capacity": "All places are taken at the moment.",
  "session.not_ready": "The anchor is starting. A moment, please.",
  "session.unknown_ticket": "The server no longer knows this conversation.",
};

/** The text to show for an error or a service notice of the server. */
export function plainly(code: string, message: string): string {
  if (OWN_WORDS.test(code)) return message;
  return ENDINGS[code] ?? CODES[code] ?? SERVICES[code.split(".")[0] ?? ""] ?? message;
}

/** Why there is no session. */
export function whyClosed(code: string): string {
  if (ENDINGS[code]) return ENDINGS[code];
  return code ? `The session is over (${code}).` : "The session is over.";
}

/** Whether another client has the conversation, and it could be taken over from there. */
export function isElsewhere(code: string): boolean {
  return code === "session.already_open" || code === "session.taken_over";
}

/** What to do about a microphone that did not open. */
export function microphoneAdvice(error: unknown): string {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  switch (name) {
    case "NotAllowedError":
      return "The microphone is blocked for this page. Allow it beside the address above, then press again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "No microphone was found. Plug one in or choose another, then press again. Writing works meanwhile.";
    case "NotReadableError":
      return "Another program holds the microphone. Close it there, then press again.";
    default:
      return `There is no sound: ${error instanceof Error ? error.message : String(error)}`;
  }
}
