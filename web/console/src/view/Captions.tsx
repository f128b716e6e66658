import { useEffect, useMemo, useRef } from "preact/hooks";
import { captionSpans } from "../captions";
import type { Conversation } from "../conversation_state";
import { formatDuration } from "../format";
import { responseMs } from "../latency";
import { currentTurns } from "../past_conversations";
import type { TalkMode } from "../phase";
import type { Turn } from "../turn";
import { PastConversations } from "./PastConversations";
import { Waterfall } from "./Waterfall";
import { Welcome } from "./Welcome";

// The list follows the conversation while it is scrolled to within this many pixels of the end.
const FOLLOW_PX = 140;

interface CaptionsProps {
  conversation: Conversation;
  mode: TalkMode;
  /** Sends a question that was clicked on the first screen. */
  onAsk?: (question: string) => void;
}

export function Captions({ conversation, mode, onAsk }: CaptionsProps) {
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
  const turns = currentTurns(conversation);
  useEffect(() => {
    const element = list.current;
    if (element && following.current) element.scrollTop = element.scrollHeight;
  }, [conversation.turns]);
  return (
    <div
      class="captions"
      ref={list}
      tabIndex={0}
      role="region"
      aria-label="Captions"
      onScroll={({ currentTarget: { scrollHeight, scrollTop, clientHeight } }) => {
        following.current = scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
      }}
    >
      <PastConversations
        conversation={conversation}
        renderTurn={(turn) => <TurnItem key={turn.key} turn={turn} audioStarted={conversation.audioStarted} />}
      />
      {turns.length === 0 ? (
        <Welcome conversation={conversation} mode={mode} onAsk={onAsk} />
      ) : (
        <ol class="turns">
          {turns.map((turn) => (
            <TurnItem key={turn.key} turn={turn} audioStarted={conversation.audioStarted} />
          ))}
        </ol>
      )}
    </div>
  );
}

function TurnItem({ turn, audioStarted }: { turn: Turn; audioStarted: boolean }) {
  // Only turns that changed render again, which keeps long conversations fast.
  return useMemo(
    () => (
      <li class="turn" data-turn={turn.id}>
        {turn.userText && (
          <div class="said said-user">
            <span class="who">You</span>
            <p class={turn.provisional ? "words provisional" : "words"}>{turn.userText}</p>
          </div>
        )}
        {turn.replyText && (
          <div class="said said-anchor">
            <span class="who">Anchor</span>
            <p class="words">
              {captionSpans(turn, audioStarted).map(({ kind, text }) =>
                kind === "cut" ? <s class="cut">{text}</s> : <span class={kind}>{text}</span>,
              )}
              {turn.interrupted && <span class="cut-mark">cut off</span>}
            </p>
          </div>
        )}
        <Sources turn={turn} />
        {turn.failure && <p class="failure">{turn.failure}</p>}
        <TurnTimes turn={turn} />
      </li>
    ),
    [turn, audioStarted],
  );
}

/** Names the passages that the reply is taken from; open, it shows their text. */
function Sources({ turn: { sources } }: { turn: Turn }) {
  if (sources.length === 0) return null;
  return (
    <details class="sources">
      <summary>From: {sources.map(({ title }) => title).join(", ")}</summary>
      {sources.map(({ file, text, language }) => (
        <blockquote key={file} lang={language}>
          <p>{text}</p>
          <cite lang="en">{file}</cite>
        </blockquote>
      ))}
    </details>
  );
}

function TurnTimes({ turn: { latency, engine } }: { turn: Turn }) {
  if (!latency) return null;
  const response = responseMs(latency);
  if (response === undefined) return null;
  return (
    <details class="times">
      <summary>
        <span class="times-figure">{formatDuration(response)}</span> to the first sound
        {engine && <span class="times-engine">{engine}</span>}
      </summary>
      <Waterfall latency={latency} />
    </details>
  );
}
