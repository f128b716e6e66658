/** Reducer for messages about a reply. */
import type { ServerMessage } from "@ai-anchor/client";
import { type Conversation, updateTurn } from "./conversation_state";
import { saysVoiceIsAway } from "./error_messages";

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
      | "latencyWaterfall";
  }
>;

export function replyReducer(state: Conversation, message: ReplyMessage, atMs: number): Conversation {
  const { turnId } = message.value;
  switch (message.case) {
    case "replyStarted":
      return {
        ...updateTurn(state, turnId, () => ({ ...EMPTY_REPLY, engine: message.value.engine })),
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
      return { ...updateTurn(state, turnId, () => ({ heardText, interrupted, playedMs: heardMs })), anchor: "idle" };
    }
    case "turnFailed":
      return {
        ...updateTurn(state, turnId, () => ({ failure: message.value.message, provisional: false })),
        anchor: "idle",
      };
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
  playedMs: null,
  heardText: null,
  interrupted: false,
  latency: null,
  wait: null,
};
