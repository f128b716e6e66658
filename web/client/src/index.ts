/** Talk with an AI Anchor from a web page: session, microphone, player. No framework. */
export { type ClientMessage, decode, encode, type ServerMessage } from "./messages";
export { Microphone, MICROPHONE_HZ, type MicrophoneOptions, type MicrophoneTraits } from "./microphone";
export { Player, type PlayerOptions } from "./player";
export { type SoundSupport, soundSupport } from "./sound_support";
export type { Heard } from "./worklets/playback_line";
