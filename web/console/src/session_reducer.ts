/** Reducer for messages about the session and the services. */
import type { ServerMessage, ServiceNotice } from "@ai-anchor/client";
import type { Conversation } from "./conversation_state";
import { errorMessage } from "./error_messages";

type SessionMessage = Extract<
  ServerMessage,
  {
    case:
      | "sessionStarted"
      | "sessionUpdated"
      | "choices"
      | "systemStatus"
      | "serviceNotice"
      | "admission"
      | "error"
      | "sessionEnded";
  }
>;

export function sessionReducer(state: Conversation, message: SessionMessage): Conversation {
  switch (message.case) {
    case "sessionStarted": {
      const { language, voice, persona, patience, bargeIn, resumed, retentionDays = 0 } = message.value;
      const settings = { language, voice, persona, patience, bargeIn, style: state.settings?.style };
      const isNew = !resumed && state.turns.length > 0;
      return {
        ...state,
        settings,
        resumed,
        retentionDays,
        // In a new conversation the server's turn ids start again at 1.
        epoch: isNew ? state.epoch + 1 : state.epoch,
        // The end of a notice may have been lost while disconnected. The server resends active degradations.
        serviceNotices: [],
        // Who disconnects does not wait any more.
        admission: null,
        notice: isNew ? "The server has forgotten the conversation. This is a new one." : "",
      };
    }
    case "sessionUpdated": {
      const { language, voice, persona, patience, style, bargeIn } = message.value;
      return { ...state, settings: { language, voice, persona, patience, style, bargeIn } };
    }
    case "choices":
      return { ...state, choices: message.value };
    case "systemStatus": {
      const { services, gpu, degraded } = message.value;
      return { ...state, services, gpu: gpu ?? null, degraded };
    }
    case "serviceNotice":
      return { ...state, serviceNotices: updateServiceNotices(state.serviceNotices, message.value) };
    case "admission":
      return { ...state, admission: message.value };
    case "error":
      return { ...state, notice: errorMessage(message.value.code, message.value.message) };
    case "sessionEnded":
      return { ...state, notice: "", admission: null };
  }
}

/** Adds or replaces the notice with the same code when active; removes it otherwise. */
function updateServiceNotices(active: readonly ServiceNotice[], changed: ServiceNotice): readonly ServiceNotice[] {
  if (!changed.active) return active.filter(({ code }) => code !== changed.code);
  const known = active.some(({ code }) => code === changed.code);
  return known ? active.map((notice) => (notice.code === changed.code ? changed : notice)) : [...active, changed];
}
