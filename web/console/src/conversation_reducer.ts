/** The root reducer: state and event → state. Pure: no socket, audio or DOM. */
import type { Connection, ServerMessage } from "@ai-anchor/client";
import { type Conversation, INITIAL_CONVERSATION, type MicrophoneState, updateTurn } from "./conversation_state";
import { replyReducer } from "./reply_reducer";
import { sessionReducer } from "./session_reducer";
import type { Trial } from "./trial";
import { userReducer } from "./user_reducer";

/** `atMs` is on the page's clock, in milliseconds since the store was created. */
export type ConversationEvent =
  | { kind: "message"; message: ServerMessage; atMs: number }
  | { kind: "connection"; connection: Connection }
  | { kind: "microphone"; microphone: MicrophoneState; notice?: string }
  | { kind: "playback"; turnId: number; playedMs: number; atMs: number }
  | { kind: "talkButton"; held: boolean }
  | { kind: "recording"; name: string }
  | { kind: "audioStarted" }
  | { kind: "notice"; notice: string }
  | { kind: "trial"; trial: Trial }
  | { kind: "reset" };

/** The state after `event`. */
export function conversationReducer(state: Conversation, event: ConversationEvent): Conversation {
  switch (event.kind) {
    case "message":
      return messageReducer(state, event.message, event.atMs);
    case "connection":
      return connectionReducer(state, event.connection);
    case "microphone":
      return { ...state, microphone: event.microphone, user: "silent", notice: event.notice ?? state.notice };
    case "playback":
      return updateTurn(state, event.turnId, (turn) => ({
        playedMs: event.playedMs,
        replyFromMs: turn.playedMs === null ? event.atMs - event.playedMs : turn.replyFromMs,
      }));
    case "talkButton":
      return { ...state, talkHeld: event.held };
    case "recording":
      return { ...state, recording: event.name };
    case "audioStarted":
      return { ...state, audioStarted: true };
    case "notice":
      return { ...state, notice: event.notice };
    case "trial":
      return { ...state, trial: event.trial };
    case "reset":
      return {
        ...INITIAL_CONVERSATION,
        epoch: state.epoch + 1,
        audioStarted: state.audioStarted,
        choices: state.choices,
        trial: state.trial,
      };
  }
}

function messageReducer(state: Conversation, message: ServerMessage, atMs: number): Conversation {
  switch (message.case) {
    case "speechStarted":
    case "speechStopped":
    case "partialTranscript":
    case "finalTranscript":
    case "turnCommitted":
    case "bargeInSettled":
      return userReducer(state, message, atMs);
    case "replyStarted":
    case "replySources":
    case "replyText":
    case "replyAudio":
    case "speechMark":
    case "playbackPause":
    case "playbackResume":
    case "playbackStop":
    case "replyFinished":
    case "turnFailed":
    case "latencyWaterfall":
      return replyReducer(state, message, atMs);
    case "sessionStarted":
    case "sessionUpdated":
    case "choices":
    case "systemStatus":
    case "serviceNotice":
    case "admission":
    case "error":
    case "sessionEnded":
      return sessionReducer(state, message);
    case "turnEndPredicted":
      return { ...state, wait: message.value };
    case "replyAudioEnded":
    case "anchorAudio":
    case "turnSaved":
    case "pong":
    case "speechActivity":
      // The console does not show what is stored; the player handles audio, and the store feeds the monitor. Over a WebSocket, audio
      // has its own frames.
      return state;
    default:
      return assertNever(message);
  }
}

function connectionReducer(state: Conversation, connection: Connection): Conversation {
  if (connection.state === "open" || connection.state === "connecting") return { ...state, connection };
  return {
    ...state,
    connection,
    talkHeld: false,
    user: "silent",
    anchor: "idle",
    turns: state.turns.map((turn) => (turn.provisional ? { ...turn, provisional: false } : turn)),
  };
}

function assertNever(message: never): never {
  throw new Error(`no case for ${JSON.stringify(message)}`);
}
