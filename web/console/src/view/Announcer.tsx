import { useRef } from "preact/hooks";
import { NO_ANNOUNCEMENTS, nextAnnouncements } from "../announcements";
import type { Conversation } from "../conversation_state";
import type { Phase } from "../phase";

/** The live region of the conversation: it tells screen readers what happened, once it is quiet. */
export function Announcer({ conversation, phase }: { conversation: Conversation; phase: Phase }) {
  const announcements = useRef(NO_ANNOUNCEMENTS);
  announcements.current = nextAnnouncements(announcements.current, conversation, phase);
  return (
    <div class="visually-hidden" role="log" aria-live="polite" aria-label="Conversation log">
      {announcements.current.shown.map(({ key, text, lang }) => (
        <p key={key} lang={lang || undefined}>
          {text}
        </p>
      ))}
    </div>
  );
}
