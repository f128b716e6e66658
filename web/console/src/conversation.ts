/** How each event changes what the page shows of a conversation. No socket, sound or document. */
import type { Connection, ServerMessage } from "@ai-anchor/client";
import { ofReply } from "./of_reply";
import { ofSession } from "./of_session";
import { ofUser } from "./of_user";
import { type Conversation, INITIAL, inTurn, type MicrophoneState } from "./state";

/** `atMs` is on the page's clock, in milliseconds since the conversation began here. */
export type ConversationEvent =
  | { kind: "message"; message: ServerMessage; atMs: number }
  | { kind: "connection"; connection: Connection }
  | { kind: "microphone"; microphone: MicrophoneState; notice?: string }
  | { kind: "heard"; turnId: number; playedMs: number; atMs: number }
  | { kind: "held"; held: boolean }
  | { kind: "sound" }
  | { kind: "notice"; notice: string }
  | { kind: "forgotten" };

/** What `event` makes of `state`. */
export function reduce(state: Conversation, event: ConversationEvent): Conversation {
  switch (event.kind) {
    case "message":
      return obey(state, event.message, event.atMs);
    case "connection":
      return connected(state, event.connection);
    case "microphone":
      return { ...state, microphone: event.microphone, user: "silent", notice: event.notice ?? state.notice };
    case "heard":
      return inTurn(state, event.turnId, (turn) => ({
        playedMs: event.playedMs,
        replyFromMs: turn.playedMs === null ? event.atMs - event.playedMs : turn.replyFromMs,
      }));
    case "held":
      return { ...state, held: event.held };
    case "sound":
      return { ...state, sound: true };
    case "notice":
      return { ...state, notice: event.notice };
    case "forgotten":
      return { ...INITIAL, epoch: state.epoch + 1, sound: state.sound, choices: state.choices };
  }
}

function obey(state: Conversation, message: ServerMessage, atMs: number): Conversation {
  switch (message.case) {
    case "speechStarted":
    case "speechStopped":
    case "partialTranscript":
    case "finalTranscript":
    case "turnCommitted":
    case "bargeInSettled":
      return ofUser(state, message, atMs);
    case "replyStarted":
    case "replyText":
    case "replyAudio":
    case "speechMark":
    case "playbackPause":
    case "playbackResume":
    case "playbackStop":
    case "replyFinished":
    case "turnFailed":
    case "latencyWaterfall":
      return ofReply(state, message, atMs);
    case "sessionStarted":
    case "sessionUpdated":
    case "choices":
    case "systemStatus":
    case "serviceNotice":
    case "error":
    case "sessionEnded":
      return ofSession(state, message);
    case "turnEndPredicted":
    case "replyAudioEnded":
    case "anchorAudio":
      // The wait and the sound's end are nothing to show; sound itself comes in frames of its own.
      return state;
    default:
      return assertNever(message);
  }
}

function connected(state: Conversation, connection: Connection): Conversation {
  if (connection.state === "open" || connection.state === "connecting") return { ...state, connection };
  return {
    ...state,
    connection,
    held: false,
    user: "silent",
    anchor: "idle",
    turns: state.turns.map((turn) => (turn.provisional ? { ...turn, provisional: false } : turn)),
  };
}

function assertNever(message: never): never {
  throw new Error(`no case for ${JSON.stringify(message)}`);
}
