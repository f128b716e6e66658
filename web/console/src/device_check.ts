/** Measures a short recording and rates microphone, room and settings. */
import type { MicrophoneSettings } from "@ai-anchor/client";
import { decibels } from "./level";

/** In decibels of full scale. */
export interface Levels {
  /** Level of the loud frames: the voice, if there is one. */
  voiceDb: number;
  /** Level of the quiet frames: the room. */
  noiseDb: number;
  peakDb: number;
}

/** One result of the check. */
export interface Finding {
  ok: boolean;
  text: string;
}

// Percentiles of the frame levels: a voice fills a part of the time, the pauses between words show the room.
const VOICE_PERCENTILE = 0.9;
const NOISE_PERCENTILE = 0.1;
// A voice exceeds the noise by at least this much, in decibels; steady noise does not.
const VOICE_OVER_NOISE_DB = 10;
const NOTHING_DB = -85;
const QUIET_DB = -42;
const CLIPPED_DB = -0.2;
const NOISY_DB = -45;
// The recognisers work at this rate.
const MIN_SAMPLE_RATE_HZ = 16_000;

/** Measures frames of PCM16. */
export function measureLevels(frames: readonly Int16Array[]): Levels {
  const levels = frames.map((frame) => decibels(rms(frame))).sort((a, b) => a - b);
  const percentile = (share: number) => levels[Math.floor(share * (levels.length - 1))] ?? decibels(0);
  const peak = frames.reduce(
    (loudest, frame) => frame.reduce((most, sample) => Math.max(most, Math.abs(sample)), loudest),
    0,
  );
  return {
    voiceDb: percentile(VOICE_PERCENTILE),
    noiseDb: percentile(NOISE_PERCENTILE),
    peakDb: decibels(peak / 32768),
  };
}

/** Rates the levels and the microphone's settings, each with a remedy where needed. */
export function checkDevice({ voiceDb, noiseDb, peakDb }: Levels, settings: MicrophoneSettings): Finding[] {
  return [
    checkVoice(voiceDb, noiseDb, peakDb),
    checkNoise(noiseDb, voiceDb),
    checkSampleRate(settings),
    checkEcho(settings),
  ];
}

function checkVoice(voiceDb: number, noiseDb: number, peakDb: number): Finding {
  const level = `${Math.round(voiceDb)} dB`;
  if (voiceDb < NOTHING_DB) return { ok: false, text: "Nothing was heard. The microphone may be muted." };
  if (voiceDb - noiseDb < VOICE_OVER_NOISE_DB) {
    return { ok: false, text: `No voice stood out (${level}). Speak during the test, closer to the microphone.` };
  }
  if (peakDb > CLIPPED_DB) return { ok: false, text: `Your voice is too loud and distorts. Move back.` };
  if (voiceDb < QUIET_DB) return { ok: false, text: `Your voice is quiet (${level}). Come closer.` };
  return { ok: true, text: `Your voice is clear (${level}).` };
}

function checkNoise(noiseDb: number, voiceDb: number): Finding {
  const level = `${Math.round(noiseDb)} dB`;
  if (voiceDb < NOTHING_DB) return { ok: false, text: "The noise in the room could not be measured." };
  if (noiseDb > NOISY_DB) return { ok: false, text: `There is noise around you (${level}).` };
  return { ok: true, text: `The room is quiet (${level}).` };
}

function checkSampleRate({ sampleRateHz }: MicrophoneSettings): Finding {
  const kHz = sampleRateHz / 1000;
  return sampleRateHz >= MIN_SAMPLE_RATE_HZ
    ? { ok: true, text: `The microphone records at ${kHz} kHz; 16 kHz is sent.` }
    : { ok: false, text: `The microphone records at ${kHz} kHz, like a telephone: words may be lost.` };
}

function checkEcho({ echoCancellation }: MicrophoneSettings): Finding {
  if (echoCancellation === undefined) {
    return { ok: false, text: "The browser does not say whether it cancels echo. Headphones are safe." };
  }
  return echoCancellation
    ? { ok: true, text: "Echo is cancelled: you may use loudspeakers." }
    : { ok: false, text: "Echo is not cancelled. Use headphones, or the anchor hears itself." };
}

function rms(frame: Int16Array): number {
  const sum = frame.reduce((total, sample) => total + (sample / 32768) ** 2, 0);
  return Math.sqrt(sum / Math.max(1, frame.length));
}
