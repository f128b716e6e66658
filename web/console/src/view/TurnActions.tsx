import { useEffect, useRef, useState } from "preact/hooks";
import { speakerOf } from "../cues";
import { heardReply, type Turn } from "../turn";

/** What the server can do about a turn; each returns whether it was asked. */
export interface TurnCommands {
  speakAgain: (turnId: number, fromCut: boolean) => boolean;
  correct: (turnId: number, text: string) => boolean;
}

const COPIED_MS = 2000;

/** Copy, hear again, go on from the cut, and correct what was misheard. */
export function TurnActions({ turn, commands }: { turn: Turn; commands: TurnCommands | null }) {
  const [isCorrecting, setCorrecting] = useState(false);
  if (turn.provisional || !(turn.userText || turn.replyText)) return null;
  if (isCorrecting && commands)
    return (
      <Correction
        turn={turn}
        onSend={(text) => {
          if (commands.correct(turn.id, text)) setCorrecting(false);
        }}
        onCancel={() => {
          setCorrecting(false);
        }}
      />
    );
  return (
    <div class="turn-actions" role="group" aria-label={`Turn ${turn.id}`}>
      <CopyButton turn={turn} />
      {commands && turn.replyText && (
        <button class="quiet" type="button" onClick={() => commands.speakAgain(turn.id, false)}>
          Say again
        </button>
      )}
      {commands && turn.interrupted && (
        <button class="quiet" type="button" onClick={() => commands.speakAgain(turn.id, true)}>
          Go on
        </button>
      )}
      {commands && turn.userText && (
        <button
          class="quiet"
          type="button"
          onClick={() => {
            setCorrecting(true);
          }}
        >
          Correct
        </button>
      )}
    </div>
  );
}

function CopyButton({ turn }: { turn: Turn }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => {
      setCopied(false);
    }, COPIED_MS);
    return () => {
      clearTimeout(timer);
    };
  }, [copied]);
  // Pages without HTTPS have no clipboard.
  const { clipboard } = navigator as { clipboard?: Clipboard };
  if (!clipboard) return null;
  const text = [
    ...(turn.userText ? [`You: ${turn.userText}`] : []),
    ...(turn.replyText ? [`${speakerOf(turn)}: ${heardReply(turn)}${turn.interrupted ? " …" : ""}`] : []),
  ].join("\n");
  return (
    <button
      class="quiet"
      type="button"
      onClick={() => {
        void clipboard.writeText(text).then(() => {
          setCopied(true);
        });
      }}
    >
      {copied ? "Copied" : "Copy"}
    </button>
  );
}

interface CorrectionProps {
  turn: Turn;
  onSend: (text: string) => void;
  onCancel: () => void;
}

function Correction({ turn, onSend, onCancel }: CorrectionProps) {
  const [text, setText] = useState(turn.userText);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    input.current?.focus();
  }, []);
  return (
    <form
      class="correction"
      onSubmit={(submit) => {
        submit.preventDefault();
        if (text.trim()) onSend(text.trim());
      }}
      onKeyDown={(press) => {
        if (press.key !== "Escape") return;
        press.stopPropagation();
        onCancel();
      }}
    >
      <input
        type="text"
        maxLength={2000}
        value={text}
        lang={turn.userLanguage || undefined}
        aria-label="What you said"
        ref={input}
        onInput={(change) => {
          setText(change.currentTarget.value);
        }}
      />
      <button class="button button-main" type="submit">
        Send
      </button>
      <button class="button" type="button" onClick={onCancel}>
        Cancel
      </button>
      <p class="hint">The anchor forgets what it heard, and answers this instead.</p>
    </form>
  );
}
