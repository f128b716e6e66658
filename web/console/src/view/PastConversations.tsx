import type { ComponentChildren } from "preact";
import type { Conversation } from "../conversation_state";
import { ENDING_TEXTS, pastConversations } from "../past_conversations";
import type { Turn } from "../turn";

interface PastConversationsProps {
  conversation: Conversation;
  renderTurn: (turn: Turn) => ComponentChildren;
}

/** The conversations before the current one, each with a line that says why it is over. */
export function PastConversations({ conversation, renderTurn }: PastConversationsProps) {
  return (
    <>
      {pastConversations(conversation).map(({ epoch, ending, turns }) => (
        <section class="past" key={epoch} aria-label="Earlier conversation">
          <ol class="turns">{turns.map(renderTurn)}</ol>
          <p class="past-ending">{ENDING_TEXTS[ending]}</p>
        </section>
      ))}
    </>
  );
}
