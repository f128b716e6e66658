/** Client library of AI Anchor for web pages. No framework. */
export { Anchor, type AnchorOptions, type AnchorRecorder } from "./anchor";
export { type ClientMessage, decode, encode, type ServerMessage } from "./messages";
export { Microphone, MICROPHONE_HZ, type MicrophoneOptions, type MicrophoneSettings } from "./microphone";
export type { MicrophoneReason, MicrophoneState, MicrophoneStatus } from "./microphone_machine";
export { Player, type PlayerOptions } from "./player";
export {
  type Connection,
  pageToken,
  Session,
  type SessionOptions,
  type SessionStart,
  type SocketUrl,
  socketUrl,
} from "./session";
export { type SoundSupport, soundSupport } from "./sound_support";
export type { PlaybackReport } from "./worklets/jitter_buffer";
export * from "./protocol/anchor/session/v1/session_pb";
