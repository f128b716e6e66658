import { useMemo } from "preact/hooks";
import { captionSpans } from "../captions";
import type { Conversation } from "../conversation_state";
import { speakerOf } from "../cues";
import { formatDuration } from "../format";
import { responseMs } from "../latency";
import { currentTurns } from "../past_conversations";
import type { Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import { isOfEpoch, type Turn } from "../turn";
import { useFollow } from "../use_follow";
import { DownIcon } from "./icons";
import { PastConversations } from "./PastConversations";
import { TurnActions, type TurnCommands } from "./TurnActions";
import { Waterfall } from "./Waterfall";
import { Welcome } from "./Welcome";

interface CaptionsProps {
  store: Pick<ConsoleStore, "send" | "sendText">;
  conversation: Conversation;
  preferences: Pick<Preferences, "mode" | "captionSize" | "captionContrast">;
}

export function Captions({ store, conversation, preferences }: CaptionsProps) {
  const { mode, captionSize, captionContrast } = preferences;
  const isOpen = conversation.connection.state === "open";
  const commands = useMemo(() => (isOpen ? turnCommands(store) : null), [store, isOpen]);
  const { list, isFollowing, onScroll, goToNow } = useFollow(conversation.turns);
  const turns = currentTurns(conversation);
  const turnItem = (turn: Turn) =>
    turn.replacedBy === null ? (
      <TurnItem
        key={turn.key}
        turn={turn}
        audioStarted={conversation.audioStarted}
        commands={isOfEpoch(turn, conversation.epoch) ? commands : null}
      />
    ) : (
      <CorrectedTurn key={turn.key} turn={turn} />
    );
  return (
    <div class="captions-area" data-size={captionSize} data-contrast={captionContrast}>
      <div class="captions" ref={list} tabIndex={0} role="region" aria-label="Captions" onScroll={onScroll}>
        <PastConversations conversation={conversation} renderTurn={turnItem} />
        {turns.length === 0 ? (
          <Welcome conversation={conversation} mode={mode} onAsk={(question) => store.sendText(question)} />
        ) : (
          <ol class="turns">{turns.map(turnItem)}</ol>
        )}
      </div>
      {!isFollowing && (
        <button class="button to-now" type="button" onClick={goToNow}>
          <DownIcon />
          Back to now
        </button>
      )}
    </div>
  );
}

interface TurnItemProps {
  turn: Turn;
  audioStarted: boolean;
  /** What can be asked of the anchor about this turn; null where its conversation is over, or not connected. */
  commands: TurnCommands | null;
}

function TurnItem({ turn, audioStarted, commands }: TurnItemProps) {
  // Only turns that changed render again, which keeps long conversations fast.
  return useMemo(
    () => (
      <li class="turn" data-turn={turn.id}>
        {turn.userText && (
          <div class="said said-user">
            <span class="who">You</span>
            <p class={turn.provisional ? "words provisional" : "words"} lang={turn.userLanguage || undefined}>
              {turn.userText}
            </p>
          </div>
        )}
        {turn.replyText && (
          <div class="said said-anchor">
            <span class="who">{speakerOf(turn)}</span>
            <p class="words" lang={turn.replyLanguage || undefined}>
              {captionSpans(turn, audioStarted).map(({ kind, text }) =>
                kind === "cut" ? <s class="cut">{text}</s> : <span class={kind}>{text}</span>,
              )}
              {turn.interrupted && (
                <span class="cut-mark" lang="en">
                  cut off
                </span>
              )}
            </p>
          </div>
        )}
        <Sources turn={turn} />
        {turn.failure && <p class="failure">{turn.failure}</p>}
        <TurnTimes turn={turn} />
        <TurnActions turn={turn} commands={commands} />
      </li>
    ),
    [turn, audioStarted, commands],
  );
}

function CorrectedTurn({ turn }: { turn: Turn }) {
  return (
    <li class="turn turn-corrected" data-turn={turn.id}>
      <div class="said said-user">
        <span class="who">You</span>
        <p class="words">
          <s lang={turn.userLanguage || undefined}>{turn.userText}</s> <span class="cut-mark">corrected</span>
        </p>
      </div>
    </li>
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

function turnCommands(store: CaptionsProps["store"]): TurnCommands {
  return {
    speakAgain: (turnId, fromCut) => store.send({ case: "speakAgain", value: { turnId, fromCut } }),
    correct: (turnId, text) => store.sendText(text, turnId),
  };
}
