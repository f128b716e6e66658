import type { Conversation } from "../conversation_state";

// Screen readers announce additions only, so older turns need not stay in the list.
const ANNOUNCED_TURNS = 6;

/** A live region that announces finished turns to screen readers; partial text would interrupt every announcement. */
export function Announcer({ conversation }: { conversation: Conversation }) {
  const announcements = conversation.turns.slice(-ANNOUNCED_TURNS).flatMap((turn) => {
    const answer = turn.heardText ?? "";
    return [
      ...(turn.userText && !turn.provisional
        ? [{ key: `${turn.key} you`, text: `You: ${turn.userText}`, lang: turn.userLanguage }]
        : []),
      ...(answer
        ? [{ key: `${turn.key} anchor`, text: `${turn.speaker || "Anchor"}: ${answer}`, lang: turn.replyLanguage }]
        : []),
      ...(turn.failure ? [{ key: `${turn.key} failure`, text: turn.failure, lang: "" }] : []),
    ];
  });
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-label="Conversation log">
      {announcements.map(({ key, text, lang }) => (
        <p key={key} lang={lang || undefined}>
          {text}
        </p>
      ))}
    </div>
  );
}
