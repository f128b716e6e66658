import type { Conversation } from "../state";

// The newest few are enough: what was announced once stays said.
const KEPT = 6;

/** Tells a screen reader what was said, once it is settled; partial words would never let it finish. */
export function Announcer({ conversation }: { conversation: Conversation }) {
  const said = conversation.turns.slice(-KEPT).flatMap((turn) => {
    const answer = turn.heardText ?? "";
    return [
      ...(turn.userText && !turn.provisional ? [{ key: `${turn.key} you`, text: `You: ${turn.userText}` }] : []),
      ...(answer ? [{ key: `${turn.key} anchor`, text: `Anchor: ${answer}` }] : []),
      ...(turn.failure ? [{ key: `${turn.key} failure`, text: turn.failure }] : []),
    ];
  });
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-label="What was said">
      {said.map(({ key, text }) => (
        <p key={key}>{text}</p>
      ))}
    </div>
  );
}
