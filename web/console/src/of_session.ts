/** What the messages about the session as a whole change. */
import type { ServerMessage, ServiceNotice } from "@ai-anchor/client";
import type { Conversation } from "./state";
import { plainly } from "./plain_words";

type SessionMessage = Extract<
  ServerMessage,
  {
    case: "sessionStarted" | "sessionUpdated" | "choices" | "systemStatus" | "serviceNotice" | "error" | "sessionEnded";
  }
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
        // An end may have been lost with the connection. The server repeats the degradations that still hold.
        serviceNotices: [],
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
    case "serviceNotice":
      return { ...state, serviceNotices: updateServiceNotices(state.serviceNotices, message.value) };
    case "error":
      return { ...state, notice: plainly(message.value.code, message.value.message) };
    case "sessionEnded":
      return { ...state, notice: "" };
  }
}

/** Adds an active notice, replaces the one of the same code, or removes it when the impairment has ended. */
function updateServiceNotices(active: readonly ServiceNotice[], changed: ServiceNotice): readonly ServiceNotice[] {
  if (!changed.active) return active.filter(({ code }) => code !== changed.code);
  const known = active.some(({ code }) => code === changed.code);
  return known ? active.map((notice) => (notice.code === changed.code ? changed : notice)) : [...active, changed];
}
