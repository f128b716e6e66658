/** What a few seconds of a microphone say about it. */
import type { MicrophoneTraits } from "@ai-anchor/client";
import { decibels } from "./level";

/** In decibels of full scale. */
export interface Measured {
  /** Of the loud frames: the voice, if there was one. */
  voiceDb: number;
  /** Of the quiet frames: the room. */
  noiseDb: number;
  peakDb: number;
}

/** One thing found out, and whether it is well. */
export interface Finding {
  well: boolean;
  text: string;
}

// The voice fills a part of the time only; the room is heard between its words.
const VOICE_SHARE = 0.9;
const NOISE_SHARE = 0.1;
// A voice stands out by so much, in decibels; steady noise does not.
const VOICE_OVER_NOISE_DB = 10;
const NOTHING_DB = -85;
const QUIET_DB = -42;
const CLIPPED_DB = -0.2;
const NOISY_DB = -45;

/** Measures frames of PCM16. */
export function measured(frames: readonly Int16Array[]): Measured {
  const levels = frames.map((frame) => decibels(rms(frame))).sort((a, b) => a - b);
  const at = (share: number) => levels[Math.floor(share * (levels.length - 1))] ?? decibels(0);
  const peak = frames.reduce(
    (loudest, frame) => frame.reduce((most, sample) => Math.max(most, Math.abs(sample)), loudest),
    0,
  );
  return { voiceDb: at(VOICE_SHARE), noiseDb: at(NOISE_SHARE), peakDb: decibels(peak / 32768) };
}

/** What to tell of it, in plain words. */
export function findings({ voiceDb, noiseDb, peakDb }: Measured, traits: MicrophoneTraits): Finding[] {
  return [voice(voiceDb, noiseDb, peakDb), room(noiseDb, voiceDb), rate(traits), echo(traits)];
}

function voice(voiceDb: number, noiseDb: number, peakDb: number): Finding {
  const level = `${Math.round(voiceDb)} dB`;
  if (voiceDb < NOTHING_DB) return { well: false, text: "Nothing was heard. The microphone may be muted." };
  if (voiceDb - noiseDb < VOICE_OVER_NOISE_DB) {
    return { well: false, text: `No voice stood out (${level}). Speak during the test, closer to the microphone.` };
  }
  if (peakDb > CLIPPED_DB) return { well: false, text: `Your voice is too loud and distorts. Move back.` };
  if (voiceDb < QUIET_DB) return { well: false, text: `Your voice is quiet (${level}). Come closer.` };
  return { well: true, text: `Your voice is clear (${level}).` };
}

function room(noiseDb: number, voiceDb: number): Finding {
  const level = `${Math.round(noiseDb)} dB`;
  if (voiceDb < NOTHING_DB) return { well: false, text: "How quiet the room is cannot be told." };
  if (noiseDb > NOISY_DB) return { well: false, text: `There is noise around you (${level}).` };
  return { well: true, text: `The room is quiet (${level}).` };
}

function rate({ contextHz }: MicrophoneTraits): Finding {
  const kHz = contextHz / 1000;
  const well = contextHz >= 16_000;
  const text = `The sound comes at ${kHz} kHz`;
  return { well, text: well ? `${text}, and goes out at 16 kHz.` : `${text}, like a telephone: words may be lost.` };
}

function echo({ echoCancellation }: MicrophoneTraits): Finding {
  if (echoCancellation === undefined) {
    return { well: false, text: "The browser does not say whether it cancels echo. Headphones are safe." };
  }
  return echoCancellation
    ? { well: true, text: "Echo is cancelled: you may use loudspeakers." }
    : { well: false, text: "Echo is not cancelled. Use headphones, or the anchor hears itself." };
}

function rms(frame: Int16Array): number {
  const sum = frame.reduce((total, sample) => total + (sample / 32768) ** 2, 0);
  return Math.sqrt(sum / Math.max(1, frame.length));
}
