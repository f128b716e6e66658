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
  /** When its last sample was captured, in seconds on the context's clock. */
  atS: number;
}

/** A command to the playback worklet. */
export type PlaybackCommand =
  | { kind: "setPosition"; turnId: number; offsetMs: number; latencyMs: number }
  | { kind: "push"; pcm: ArrayBuffer }
  | { kind: "pause" | "resume" | "stop" | "endReply" }
  /** Whether to post what is played. */
  | { kind: "record"; on: boolean };

/** PCM16 mono as it was played, silence included; its last sample at `atS`, in seconds on the context's clock. */
export interface PlayedAudio {
  pcm: ArrayBuffer;
  atS: number;
}

/** An event from the playback worklet. */
export type PlaybackEvent =
  | { kind: "playback"; report: PlaybackReport }
  | { kind: "overflow"; samples: number }
  | ({ kind: "played" } & PlayedAudio);
