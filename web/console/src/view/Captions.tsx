import { useEffect, useMemo, useRef } from "preact/hooks";
import { captions } from "../captions";
import { duration, responseMs } from "../latency";
import type { TalkMode } from "../phase";
import type { Conversation } from "../state";
import type { Turn } from "../turn";
import { Waterfall } from "./Waterfall";

// How near the end, in pixels, the reader must be for the page to follow the conversation.
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
            <TurnItem key={turn.key} turn={turn} sound={conversation.sound} />
          ))}
        </ol>
      )}
    </div>
  );
}

function Welcome({ conversation, mode }: { conversation: Conversation; mode: TalkMode }) {
  const { choices, settings, resumed } = conversation;
  const persona = choices?.personas.find(({ id }) => id === settings?.persona);
  return (
    <div class="welcome">
      <p class="welcome-line">{persona ? `${persona.name} is on the desk.` : "Talk with the anchor."}</p>
      {persona?.description && <p class="welcome-about">{persona.description}</p>}
      <p class="welcome-how">{resumed ? "Your conversation goes on where it was." : HOW[mode]}</p>
    </div>
  );
}

const HOW: Readonly<Record<TalkMode, string>> = {
  open: "Press the button and speak; a pause ends your turn. Or write, where it is quiet.",
  push: "Hold the button while you speak. Or write, where it is quiet.",
};

function TurnItem({ turn, sound }: { turn: Turn; sound: boolean }) {
  // A drawn turn is drawn again only when it changed: a long conversation stays cheap.
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
              {captions(turn, sound).map(({ kind, text }) =>
                kind === "cut" ? <s class="cut">{text}</s> : <span class={kind}>{text}</span>,
              )}
              {turn.interrupted && <span class="cut-mark">cut off</span>}
            </p>
          </div>
        )}
        {turn.failure && <p class="failure">{turn.failure}</p>}
        <TurnTimes turn={turn} />
      </li>
    ),
    [turn, sound],
  );
}

function TurnTimes({ turn: { latency, engine } }: { turn: Turn }) {
  if (!latency) return null;
  const response = responseMs(latency);
  if (response === undefined) return null;
  return (
    <details class="times">
      <summary>
        <span class="times-figure">{duration(response)}</span> to the first sound
        {engine && <span class="times-engine">{engine}</span>}
      </summary>
      <Waterfall latency={latency} />
    </details>
  );
}
