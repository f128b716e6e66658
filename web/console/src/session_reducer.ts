/** Reducer for messages about the session and the services. */
import type { ServerMessage, ServiceNotice } from "@ai-anchor/client";
import { talkRefusal } from "./abilities";
import type { Conversation } from "./conversation_state";
import { cutOffReplies } from "./cut_off_replies";
import { errorMessage, saysLanguageIsUnsupported } from "./error_messages";
import { beginConversation, currentTurns } from "./past_conversations";

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

export function sessionReducer(state: Conversation, message: SessionMessage, atMs: number): Conversation {
  switch (message.case) {
    case "sessionStarted": {
      const {
        sessionId,
        language,
        voice,
        persona,
        patience,
        bargeIn,
        resumed,
        retentionDays = 0,
        sentUnixS,
      } = message.value;
      const settings = { language, voice, persona, patience, bargeIn, style: state.settings?.style };
      const isForgotten = !resumed && currentTurns(state).length > 0;
      // No sound follows for the replies of another session.
      const isOther = state.sessionId !== "" && sessionId !== state.sessionId;
      return {
        // In a new conversation the server's turn ids start again at 1.
        ...(isForgotten ? beginConversation(state, "forgotten") : state),
        sessionId,
        turns: isOther || isForgotten ? cutOffReplies(state.turns, state.audioStarted) : state.turns,
        settings,
        resumed,
        retentionDays,
        clockAheadMs: sentUnixS === undefined ? 0 : atMs - sentUnixS * 1000,
        // The end of a notice may have been lost while disconnected. The server resends active degradations.
        serviceNotices: [],
        // Who disconnects does not wait any more.
        admission: null,
        notice: isForgotten ? "The server has forgotten the conversation. A new one has begun." : "",
      };
    }
    case "sessionUpdated": {
      const { language, voice, persona, patience, style, bargeIn } = message.value;
      const isOutdated = language !== state.settings?.language && isAboutLanguage(state);
      const notice = isOutdated ? "" : state.notice;
      return { ...state, notice, settings: { language, voice, persona, patience, style, bargeIn } };
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

function isAboutLanguage(state: Conversation): boolean {
  return state.notice === talkRefusal(state) || saysLanguageIsUnsupported(state.notice);
}

/** Adds or replaces the notice with the same code when active; removes it otherwise. */
function updateServiceNotices(active: readonly ServiceNotice[], changed: ServiceNotice): readonly ServiceNotice[] {
  if (!changed.active) return active.filter(({ code }) => code !== changed.code);
  const known = active.some(({ code }) => code === changed.code);
  return known ? active.map((notice) => (notice.code === changed.code ? changed : notice)) : [...active, changed];
}
