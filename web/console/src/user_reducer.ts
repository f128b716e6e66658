/** Reducer for messages about the user's speech. */
import { BargeInVerdict, type ServerMessage } from "@ai-anchor/client";
import { type Conversation, updateTurn } from "./conversation_state";
import { isSettledByTurn } from "./error_messages";
import { EMPTY_REPLY } from "./reply_reducer";
import { trialValues } from "./trial";

type BargeInSettled = Extract<ServerMessage, { case: "bargeInSettled" }>["value"];
type TurnCommitted = Extract<ServerMessage, { case: "turnCommitted" }>["value"];
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
      return { ...state, user: "speaking", speechFromMs: speechFrom(state) ?? atMs, speechToMs: null };
    case "speechStopped":
      return { ...state, user: "silent", speechToMs: atMs };
    case "partialTranscript":
      return updateTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        provisional: true,
        userFromMs: turn.userFromMs ?? state.speechFromMs ?? atMs,
      }));
    case "finalTranscript":
      return updateTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        userLanguage: message.value.language,
        userFromMs: turn.userFromMs ?? state.speechFromMs ?? atMs,
      }));
    case "turnCommitted":
      return {
        ...updateTurn(markReplaced(state, message.value), message.value.turnId, (turn) => ({
          userText: message.value.text,
          provisional: false,
          userFromMs: turn.userFromMs ?? state.speechFromMs ?? atMs,
          userToMs: state.speechToMs ?? atMs,
          setting: state.settings && { slot: state.trial.slot, ...trialValues(state.settings) },
        })),
        // With push-to-talk there may be no `speech_stopped`.
        user: "silent",
        speechFromMs: null,
        speechToMs: null,
        notice: isSettledByTurn(state.notice) ? "" : state.notice,
        admission: null,
        anchor: state.anchor === "speaking" ? "speaking" : "thinking",
      };
    case "bargeInSettled":
      return { ...bargeInReducer(state, message.value), speechFromMs: null, speechToMs: null };
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

// Speech after a pause belongs to the turn that is still being spoken.
function speechFrom({ turns, speechFromMs }: Conversation): number | null {
  return turns.at(-1)?.provisional ? speechFromMs : null;
}

// The user corrected an earlier turn with this one.
function markReplaced(state: Conversation, { turnId, replacesTurnId }: TurnCommitted): Conversation {
  const key = `${state.epoch}.${replacesTurnId}`;
  const turns = state.turns.map((turn) =>
    turn.key === key ? { ...turn, replacedBy: turnId, provisional: false } : turn,
  );
  return replacesTurnId === undefined ? state : { ...state, turns };
}

function withoutTurn(state: Conversation, turnId: number): Conversation {
  return { ...state, turns: state.turns.filter(({ key }) => key !== `${state.epoch}.${turnId}`) };
}
