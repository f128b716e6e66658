/** What a screen reader is told, and when: not while the anchor speaks, nor while the user does. Pure. */
import type { Conversation } from "./conversation_state";
import { type Phase, PHASE_LABELS } from "./phase";

/** `key` tells a new announcement from one that was made. */
export interface Announcement {
  key: string;
  text: string;
  /** Language of the text, ISO 639-1; empty for the page's own, or an unknown one. */
  lang: string;
}

export interface Announcements {
  /** In the live region, oldest first. Screen readers announce additions only. */
  shown: readonly Announcement[];
  /** Held back until it is quiet. */
  waiting: readonly Announcement[];
  /** Keys of what was announced or waits, of the newest turns. */
  known: readonly string[];
  phase: Phase | null;
  /** Counts the phases, whose announcements recur. */
  phases: number;
}

export const NO_ANNOUNCEMENTS: Announcements = { shown: [], waiting: [], known: [], phase: null, phases: 0 };

const MAX_SHOWN = 6;
const ANNOUNCED_TURNS = 6;
// The others are heard, or pass at once.
const ANNOUNCED_PHASES: readonly Phase[] = ["listening", "idle", "paused", "reconnecting", "closed"];

/** The announcements after a change of the conversation; the same object where nothing changed. */
export function nextAnnouncements(before: Announcements, conversation: Conversation, phase: Phase): Announcements {
  const turns = turnAnnouncements(conversation);
  const news = turns.filter(({ key }) => !before.known.includes(key));
  const isNewPhase = phase !== before.phase;
  const phases = before.phases + (isNewPhase ? 1 : 0);
  // Of the phases only the last one still holds.
  const kept = isNewPhase ? before.waiting.filter(({ key }) => !isPhase(key)) : before.waiting;
  // A pause in the user's own speech is no news.
  const announced = isNewPhase && before.phase !== "user-speaking" && ANNOUNCED_PHASES.includes(phase);
  const waiting = [
    ...kept,
    ...news,
    ...(announced ? [{ key: `phase ${phases}`, text: PHASE_LABELS[phase], lang: "" }] : []),
  ];
  const flushes = waiting.length > 0 && !isSounding(conversation, phase);
  if (!flushes && news.length === 0 && !isNewPhase) return before;
  return {
    shown: flushes ? [...before.shown, ...waiting].slice(-MAX_SHOWN) : before.shown,
    waiting: flushes ? [] : waiting,
    known: turns.map(({ key }) => key),
    phase,
    phases,
  };
}

// Speech sounds, or will in a moment: a screen reader would talk over it, and into the microphone.
function isSounding({ anchor, user }: Conversation, phase: Phase): boolean {
  if (user === "speaking" || phase === "user-speaking") return true;
  return anchor === "speaking" || anchor === "thinking";
}

// A reply that sounded is not read again.
function turnAnnouncements({ turns, audioStarted }: Conversation): Announcement[] {
  return turns.slice(-ANNOUNCED_TURNS).flatMap((turn) => [
    ...(turn.userText && !turn.provisional
      ? [{ key: `${turn.key} you`, text: `You: ${turn.userText}`, lang: turn.userLanguage }]
      : []),
    ...(turn.heardText && !audioStarted
      ? [
          {
            key: `${turn.key} anchor`,
            text: `${turn.speaker || "Anchor"}: ${turn.heardText}`,
            lang: turn.replyLanguage,
          },
        ]
      : []),
    ...(turn.failure ? [{ key: `${turn.key} failure`, text: turn.failure, lang: "" }] : []),
  ]);
}

function isPhase(key: string): boolean {
  return key.startsWith("phase ");
}
