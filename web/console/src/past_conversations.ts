/** Earlier conversations on the page: their turns stay, apart from the current one's. */
import type { Conversation } from "./conversation_state";
import type { Turn } from "./turn";

/** How a conversation came to an end: the server has forgotten it, or the user began another. */
export type Ending = "forgotten" | "left";

export interface PastConversation {
  epoch: number;
  ending: Ending;
  turns: readonly Turn[];
}

export const ENDING_TEXTS: Readonly<Record<Ending, string>> = {
  forgotten:
    "The server has forgotten this conversation: the anchor does not know it any more. It stays on this page until you close it.",
  left: "This is the conversation before. It stays on this page until you close it.",
};

/** The earlier conversations of which the page has turns, oldest first. */
export function pastConversations({ turns, endings }: Conversation): readonly PastConversation[] {
  return Object.entries(endings)
    .map(([epoch, ending]) => ({ epoch: Number(epoch), ending, turns: turnsOf(turns, Number(epoch)) }))
    .filter((past) => past.turns.length > 0);
}

/** The turns of the conversation that goes on. */
export function currentTurns({ turns, epoch }: Conversation): readonly Turn[] {
  return turnsOf(turns, epoch);
}

/** The state in which another conversation begins. Without turns, there is nothing to keep apart. */
export function beginConversation(state: Conversation, ending: Ending): Conversation {
  if (currentTurns(state).length === 0) return state;
  return { ...state, epoch: state.epoch + 1, endings: { ...state.endings, [state.epoch]: ending } };
}

function turnsOf(turns: readonly Turn[], epoch: number): readonly Turn[] {
  return turns.filter((turn) => turn.epoch === epoch);
}
