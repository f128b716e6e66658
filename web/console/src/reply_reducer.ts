/** Reducer for messages about a reply. */
import type { ServerMessage } from "@ai-anchor/client";
import { type Conversation, updateTurn } from "./conversation_state";
import { saysVoiceIsAway } from "./error_messages";
import type { PlaybackShift, Turn } from "./turn";

type ReplyMessage = Extract<
  ServerMessage,
  {
    case:
      | "replyStarted"
      | "replySources"
      | "replyText"
      | "replyAudio"
      | "speechMark"
      | "playbackPause"
      | "playbackResume"
      | "playbackStop"
      | "replyFinished"
      | "turnFailed"
      | "turnSpoken"
      | "latencyWaterfall";
  }
>;

export function replyReducer(state: Conversation, message: ReplyMessage, atMs: number): Conversation {
  const { turnId } = message.value;
  switch (message.case) {
    case "replyStarted":
      return {
        ...updateTurn(state, turnId, (turn) => ({
          ...EMPTY_REPLY,
          engine: message.value.engine,
          speaker: turn.speaker || currentSpeaker(state),
        })),
        anchor: "thinking",
      };
    case "replySources":
      return updateTurn(state, turnId, () => ({ sources: message.value.sources }));
    case "replyText":
      return updateTurn(state, turnId, (turn) => ({
        replyText: turn.replyText + message.value.text,
        replyFromMs: turn.replyFromMs ?? atMs,
      }));
    case "replyAudio":
      return {
        ...updateTurn(withoutVoiceNotice(state), turnId, (turn) => ({ soundArrivedMs: turn.soundArrivedMs ?? atMs })),
        anchor: "speaking",
      };
    case "playbackResume":
      return { ...state, anchor: "speaking" };
    case "speechMark": {
      const { textStart, textEnd, offsetMs } = message.value;
      return updateTurn(withoutVoiceNotice(state), turnId, (turn) => ({
        marks: [...turn.marks, { textStart, textEnd, offsetMs }],
      }));
    }
    case "playbackPause":
      return { ...state, anchor: "paused" };
    case "playbackStop":
      return { ...state, anchor: "idle" };
    case "replyFinished": {
      const { heardText, heardMs, interrupted } = message.value;
      return {
        ...updateTurn(state, turnId, (turn) => ({
          heardText,
          interrupted,
          playedMs: heardMs,
          replyToMs: turn.replyToMs ?? atMs,
        })),
        anchor: "idle",
      };
    }
    case "turnFailed":
      return {
        ...updateTurn(state, turnId, () => ({ failure: message.value.message, provisional: false })),
        anchor: "idle",
      };
    case "turnSpoken":
      return updateTurn(state, turnId, (turn) => spokenTimes(state, turn, message.value));
    case "latencyWaterfall":
      return updateTurn(state, turnId, (turn) => ({
        latency: message.value,
        // Both have the time at which the silence began: a wait of another silence does not explain this turn.
        wait: state.wait?.atMs === message.value.speechEndMs ? state.wait : turn.wait,
      }));
  }
}

// A voice that was away speaks again: a mark comes with its speech.
function withoutVoiceNotice(state: Conversation): Conversation {
  return saysVoiceIsAway(state.notice) ? { ...state, notice: "" } : state;
}

/** A turn without a reply. A second `reply_started` for a turn replaces the first reply, of which nothing was heard. */
export const EMPTY_REPLY = {
  sources: [],
  replyText: "",
  marks: [],
  soundArrivedMs: null,
  replyFromMs: null,
  replyToMs: null,
  shifts: [],
  playedMs: null,
  heardText: null,
  interrupted: false,
  latency: null,
  wait: null,
};

// Playback that is later than before by more than this was paused; less is the reports' own inaccuracy.
const MIN_SHIFT_MS = 300;
const MAX_SHIFTS = 50;

/** When a reply began, and where it was paused, from the report that `playedMs` of it had been heard at `atMs`. */
export function playbackTimes(turn: Turn, { playedMs, atMs }: { playedMs: number; atMs: number }): Partial<Turn> {
  if (turn.playedMs === null || turn.replyFromMs === null) return { replyFromMs: atMs - playedMs, shifts: [] };
  const lateMs = atMs - playedMs - turn.replyFromMs;
  if (lateMs - (turn.shifts.at(-1)?.byMs ?? 0) < MIN_SHIFT_MS || turn.shifts.length >= MAX_SHIFTS) return {};
  const shift: PlaybackShift = { fromMs: turn.playedMs, byMs: lateMs };
  return { shifts: [...turn.shifts, shift] };
}

type TurnSpoken = Extract<ServerMessage, { case: "turnSpoken" }>["value"];

// The server's times replace those of this page, which a reloaded page has not seen.
function spokenTimes({ clockAheadMs }: Conversation, turn: Turn, spoken: TurnSpoken): Partial<Turn> {
  const at = (unixS: number | undefined): number | null =>
    unixS === undefined ? null : Math.round(unixS * 1000 + clockAheadMs);
  const isUserKnown = turn.userText !== "";
  return {
    userFromMs: (isUserKnown ? at(spoken.userBeganUnixS) : null) ?? turn.userFromMs,
    userToMs: (isUserKnown ? at(spoken.userEndedUnixS) : null) ?? turn.userToMs,
    replyFromMs: at(spoken.replyBeganUnixS) ?? turn.replyFromMs,
    replyToMs: at(spoken.replyEndedUnixS) ?? turn.replyToMs,
    persona: spoken.persona,
    speaker: spoken.speaker,
    voice: spoken.voice,
    replyLanguage: spoken.language,
  };
}

function currentSpeaker({ choices, settings }: Conversation): string {
  return choices?.personas.find(({ id }) => id === settings?.persona)?.name ?? "";
}
