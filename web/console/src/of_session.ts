/** What the messages about the session as a whole change. */
import type { ServerMessage } from "@ai-anchor/client";
import type { Conversation } from "./state";
import { plainly } from "./plain_words";

type SessionMessage = Extract<
  ServerMessage,
  { case: "sessionStarted" | "sessionUpdated" | "choices" | "systemStatus" | "error" | "sessionEnded" }
>;

export function ofSession(state: Conversation, message: SessionMessage): Conversation {
  switch (message.case) {
    case "sessionStarted": {
      const { language, voice, persona, patience, resumed } = message.value;
      const settings = { language, voice, persona, patience, style: state.settings?.style };
      const forgotten = !resumed && state.turns.length > 0;
      return {
        ...state,
        settings,
        resumed,
        // The server counts from 1 again, and the turns so far are not its own.
        epoch: forgotten ? state.epoch + 1 : state.epoch,
        notice: forgotten ? "The server has forgotten the conversation. This is a new one." : "",
      };
    }
    case "sessionUpdated": {
      const { language, voice, persona, patience, style } = message.value;
      return { ...state, settings: { language, voice, persona, patience, style } };
    }
    case "choices":
      return { ...state, choices: message.value };
    case "systemStatus": {
      const { services, gpu, degraded } = message.value;
      return { ...state, services, gpu: gpu ?? null, degraded };
    }
    case "error":
      return { ...state, notice: plainly(message.value.code, message.value.message) };
    case "sessionEnded":
      return { ...state, notice: "" };
  }
}
