import { useEffect, useMemo, useRef } from "preact/hooks";
import { captionSpans } from "../captions";
import type { Conversation } from "../conversation_state";
import { formatDuration } from "../format";
import { responseMs } from "../latency";
import { machineLine } from "../machine_line";
import type { TalkMode } from "../phase";
import type { Turn } from "../turn";
import { Waterfall } from "./Waterfall";

// The list follows the conversation while it is scrolled to within this many pixels of the end.
const FOLLOW_PX = 140;

export function Captions({ conversation, mode }: { conversation: Conversation; mode: TalkMode }) {
  const list = useRef<HTMLDivElement>(null);
  const following = useRef(true);
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
      {conversation.turns.length === 0 ? (
        <Welcome conversation={conversation} mode={mode} />
      ) : (
        <ol class="turns">
          {conversation.turns.map((turn) => (
            <TurnItem key={turn.key} turn={turn} audioStarted={conversation.audioStarted} />
          ))}
        </ol>
      )}
    </div>
  );
}

function Welcome({ conversation, mode }: { conversation: Conversation; mode: TalkMode }) {
  const { choices, settings, resumed, retentionDays, services } = conversation;
  const persona = choices?.personas.find(({ id }) => id === settings?.persona);
  const machine = machineLine(services);
  return (
    <div class="welcome">
      <p class="welcome-line">{persona ? `${persona.name} is at the desk.` : "Talk with the anchor."}</p>
      {persona?.description && <p class="welcome-about">{persona.description}</p>}
      <p class="welcome-how">{resumed ? "Your conversation continues where it stopped." : INSTRUCTIONS[mode]}</p>
      {machine && <p class="welcome-machine">{machine}</p>}
      {retentionDays !== null && <p class="welcome-kept">{retentionLine(retentionDays)}</p>}
    </div>
  );
}

function retentionLine(days: number): string {
  if (days === 0) return "Nothing of the conversation is stored.";
  return `The conversation's text is stored on the server for ${days === 1 ? "a day" : `${days} days`}, its sound never.`;
}

const INSTRUCTIONS: Readonly<Record<TalkMode, string>> = {
  open: "Press the button and speak; a pause ends your turn. Or write, where it is quiet.",
  push: "Hold the button while you speak. Or write, where it is quiet.",
};

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

function TurnTimes({ turn: { latency, wait, engine } }: { turn: Turn }) {
  if (!latency) return null;
  const response = responseMs(latency);
  if (response === undefined) return null;
  return (
    <details class="times">
      <summary>
        <span class="times-figure">{formatDuration(response)}</span> to the first sound
        {engine && <span class="times-engine">{engine}</span>}
      </summary>
      <Waterfall latency={latency} wait={wait} />
    </details>
  );
}
