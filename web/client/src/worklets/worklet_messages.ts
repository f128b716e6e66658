/** Messages between the page and the worklets. */
import type { PlaybackReport } from "./jitter_buffer";

/** Options of the capture worklet. */
export interface CaptureOptions {
  rateHz: number;
}

/** A frame from the capture worklet: PCM16 mono and its peak, 0 to 1, or more when the device clips. */
export interface CapturedFrame {
  pcm: ArrayBuffer;
  peak: number;
}

/** A command to the playback worklet. */
export type PlaybackCommand =
  | { kind: "setPosition"; turnId: number; offsetMs: number; latencyMs: number }
  | { kind: "push"; pcm: ArrayBuffer }
  | { kind: "pause" | "resume" | "stop" | "endReply" };

/** An event from the playback worklet. */
export type PlaybackEvent = { kind: "playback"; report: PlaybackReport } | { kind: "overflow"; samples: number };
