/** Reducer for messages about the user's speech. */
import { BargeInVerdict, type ServerMessage } from "@ai-anchor/client";
import { type Conversation, updateTurn } from "./conversation_state";
import { EMPTY_REPLY } from "./reply_reducer";
import { trialValues } from "./trial";

type BargeInSettled = Extract<ServerMessage, { case: "bargeInSettled" }>["value"];
type UserMessage = Extract<
  ServerMessage,
  {
    case:
      "speechStarted" | "speechStopped" | "partialTranscript" | "finalTranscript" | "turnCommitted" | "bargeInSettled";
  }
>;

export function userReducer(state: Conversation, message: UserMessage, atMs: number): Conversation {
  switch (message.case) {
    case "speechStarted":
      return { ...state, user: "speaking" };
    case "speechStopped":
      return { ...state, user: "silent" };
    case "partialTranscript":
      return updateTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        provisional: true,
        userFromMs: turn.userFromMs ?? atMs,
      }));
    case "finalTranscript":
      return updateTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        userFromMs: turn.userFromMs ?? atMs,
      }));
    case "turnCommitted":
      return {
        ...updateTurn(state, message.value.turnId, (turn) => ({
          userText: message.value.text,
          provisional: false,
          userFromMs: turn.userFromMs ?? atMs,
          userToMs: atMs,
          setting: state.settings && { slot: state.trial.slot, ...trialValues(state.settings) },
        })),
        // With push-to-talk there may be no `speech_stopped`.
        user: "silent",
        notice: "",
        admission: null,
        anchor: state.anchor === "speaking" ? "speaking" : "thinking",
      };
    case "bargeInSettled":
      return bargeInReducer(state, message.value);
  }
}

// The sound over the reply was not a turn. A backchannel ("mhm") stays visible; echo and coughs are removed. The words of
// a continuation belong to the turn of the reply, which is withdrawn.
function bargeInReducer(state: Conversation, { turnId, replyTurnId, verdict }: BargeInSettled): Conversation {
  switch (verdict) {
    case BargeInVerdict.CONTINUATION:
      return updateTurn(withoutTurn(state, turnId), replyTurnId, () => ({ ...EMPTY_REPLY, provisional: true }));
    case BargeInVerdict.BACKCHANNEL:
      return updateTurn(state, turnId, () => ({ provisional: false }));
    case BargeInVerdict.ECHO:
    case BargeInVerdict.COUGH:
      return withoutTurn(state, turnId);
    case BargeInVerdict.STOP_WORDS:
    case BargeInVerdict.STOP_DURATION:
    case BargeInVerdict.UNSPECIFIED:
      return state;
    default:
      // A verdict unknown to this version.
      return state;
  }
}

function withoutTurn(state: Conversation, turnId: number): Conversation {
  return { ...state, turns: state.turns.filter(({ key }) => key !== `${state.epoch}.${turnId}`) };
}
