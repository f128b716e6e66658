/** The root reducer: state and event → state. Pure: no socket, audio or DOM. */
import {
  type Connection,
  type MicrophoneReason,
  type MicrophoneState,
  type ServerMessage,
  ServiceHealth,
} from "@ai-anchor/client";
import { type Conversation, INITIAL_CONVERSATION, updateTurn } from "./conversation_state";
import { cutOffReplies } from "./cut_off_replies";
import { microphoneNotice, saysMicrophoneIsOff } from "./microphone_messages";
import { beginConversation } from "./past_conversations";
import { playbackTimes, replyReducer } from "./reply_reducer";
import { sessionReducer } from "./session_reducer";
import type { Trial } from "./trial";
import { userReducer } from "./user_reducer";

/** `atMs` is in milliseconds since 1970 on this machine's clock. */
export type ConversationEvent =
  | { kind: "message"; message: ServerMessage; atMs: number }
  | { kind: "connection"; connection: Connection }
  | { kind: "microphone"; microphone: MicrophoneState; reason?: MicrophoneReason }
  | { kind: "playback"; turnId: number; playedMs: number; atMs: number }
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
      return microphoneReducer(state, event.microphone, event.reason ?? "");
    case "playback":
      return updateTurn(state, event.turnId, (turn) => ({ playedMs: event.playedMs, ...playbackTimes(turn, event) }));
    case "recording":
      return { ...state, recording: event.name };
    case "audioStarted":
      return { ...state, audioStarted: true };
    case "notice":
      return { ...state, notice: event.notice };
    case "trial":
      return { ...state, trial: event.trial };
    case "reset": {
      const { epoch, endings, turns } = beginConversation(state, "left");
      return {
        ...INITIAL_CONVERSATION,
        epoch,
        endings,
        turns: cutOffReplies(turns, state.audioStarted),
        audioStarted: state.audioStarted,
        choices: state.choices,
        trial: state.trial,
      };
    }
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
    case "turnSpoken":
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
      return sessionReducer(state, message, atMs);
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

function microphoneReducer(
  state: Conversation,
  microphone: MicrophoneState,
  microphoneReason: MicrophoneReason,
): Conversation {
  const isRefuted = microphone === "starting" || (microphone === "on" && saysMicrophoneIsOff(state.notice));
  const notice = microphoneNotice(microphoneReason) || (isRefuted ? "" : state.notice);
  return { ...state, microphone, microphoneReason, user: "silent", notice };
}

function connectionReducer(state: Conversation, connection: Connection): Conversation {
  if (connection.state === "open" || connection.state === "connecting") return { ...state, connection };
  const turns = connection.state === "closed" ? cutOffReplies(state.turns, state.audioStarted) : state.turns;
  return {
    ...state,
    connection,
    user: "silent",
    anchor: "idle",
    turns: turns.map((turn) => (turn.provisional ? { ...turn, provisional: false } : turn)),
    // How the services are is not known any more.
    services: state.services.map((service) => ({ ...service, health: ServiceHealth.UNSPECIFIED })),
  };
}

function assertNever(message: never): never {
  throw new Error(`no case for ${JSON.stringify(message)}`);
}
