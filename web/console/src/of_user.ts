/** What the messages about the user's speech change. */
import { BargeInVerdict, type ServerMessage } from "@ai-anchor/client";
import { type Conversation, inTurn } from "./state";

type UserMessage = Extract<
  ServerMessage,
  {
    case:
      "speechStarted" | "speechStopped" | "partialTranscript" | "finalTranscript" | "turnCommitted" | "bargeInSettled";
  }
>;

export function ofUser(state: Conversation, message: UserMessage, atMs: number): Conversation {
  switch (message.case) {
    case "speechStarted":
      return { ...state, user: "speaking" };
    case "speechStopped":
      return { ...state, user: "silent" };
    case "partialTranscript":
      return inTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        provisional: true,
        userFromMs: turn.userFromMs ?? atMs,
      }));
    case "finalTranscript":
      return inTurn(state, message.value.turnId, (turn) => ({
        userText: message.value.text,
        userFromMs: turn.userFromMs ?? atMs,
      }));
    case "turnCommitted":
      return {
        ...inTurn(state, message.value.turnId, (turn) => ({
          userText: message.value.text,
          provisional: false,
          userFromMs: turn.userFromMs ?? atMs,
          userToMs: atMs,
        })),
        // With push-to-talk nothing else tells that the user's speech is over.
        user: "silent",
        notice: "",
        anchor: state.anchor === "speaking" ? "speaking" : "thinking",
      };
    case "bargeInSettled":
      return settled(state, message.value.turnId, message.value.verdict);
  }
}

// What sounded over the reply was no turn: a listener's "mhm" may stand, what nobody said may not.
function settled(state: Conversation, turnId: number, verdict: BargeInVerdict): Conversation {
  switch (verdict) {
    case BargeInVerdict.BACKCHANNEL:
      return inTurn(state, turnId, () => ({ provisional: false }));
    case BargeInVerdict.ECHO:
    case BargeInVerdict.COUGH:
      return {
        ...state,
        turns: state.turns.filter(({ key }) => key !== `${state.epoch}.${turnId}`),
      };
    case BargeInVerdict.STOP_WORDS:
    case BargeInVerdict.STOP_DURATION:
    case BargeInVerdict.UNSPECIFIED:
      return state;
    default:
      // A verdict of a newer server.
      return state;
  }
}
