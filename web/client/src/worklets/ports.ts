/** What pages and worklets say to each other. */
import type { Heard } from "./playback_line";

/** What the page gives the microphone's worklet. */
export interface CaptureOptions {
  rateHz: number;
}

/** What the microphone's worklet yields: PCM16 mono, and its loudest sample, 0 to 1 or more where the device clips. */
export interface CapturedFrame {
  pcm: ArrayBuffer;
  peak: number;
}

/** What the page tells the player's worklet. */
export type PlaybackCommand =
  | { kind: "place"; turnId: number; offsetMs: number; latencyMs: number }
  | { kind: "push"; pcm: ArrayBuffer }
  | { kind: "pause" | "resume" | "stop" | "end" };

/** What the player's worklet tells the page. */
export type PlaybackReport = { kind: "heard"; heard: Heard } | { kind: "overflow"; samples: number };
