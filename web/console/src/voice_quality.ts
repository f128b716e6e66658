/** Rates the recording of a voice that is to be cloned. */
import { type Finding, measureLevels } from "./device_check";
import { CLIPPED_PEAK } from "./level";

// What the engines take; a longer recording is refused.
export const MIN_RECORDING_S = 2;
export const MAX_RECORDING_S = 15;
// Below this a voice is learned, but not well.
const GOOD_RECORDING_S = 6;
const FRAME_MS = 20;
// One sample at full scale may be chance; a distorted voice has runs of them in every loud syllable.
const MAX_CLIPPED_SHARE = 0.0005;
// The engines refuse a mean level below -45 dB.
const QUIET_DB = -36;
const SILENT_DB = -60;
// Noise is learned with the voice when it is within so many decibels of it.
const MIN_VOICE_OVER_NOISE_DB = 25;

/** Rates mono samples, -1 to 1; problems that make the engine refuse the recording have `fatal`. */
export function checkRecording(samples: Float32Array, rateHz: number): (Finding & { fatal: boolean })[] {
  const seconds = samples.length / rateHz;
  const { voiceDb, noiseDb } = measureLevels(framesOf(samples, rateHz));
  return [checkLength(seconds), checkLevel(samples, voiceDb), checkNoise(voiceDb, noiseDb)];
}

function checkLength(seconds: number) {
  const length = `${seconds.toFixed(1)} s`;
  if (seconds < MIN_RECORDING_S)
    return problem(`Too short (${length}): speak for ${GOOD_RECORDING_S} s or more.`, true);
  if (seconds > MAX_RECORDING_S) return problem(`Too long (${length}): ${MAX_RECORDING_S} s at most.`, true);
  if (seconds < GOOD_RECORDING_S) return problem(`Short (${length}): the voice gets better with 10 s.`, false);
  return good(`A good length (${length}).`);
}

function checkLevel(samples: Float32Array, voiceDb: number) {
  const level = `${Math.round(voiceDb)} dB`;
  if (voiceDb < SILENT_DB) return problem("Nothing was heard. The microphone may be muted.", true);
  const clipped = samples.reduce((count, sample) => count + (Math.abs(sample) >= CLIPPED_PEAK ? 1 : 0), 0);
  if (clipped > MAX_CLIPPED_SHARE * samples.length) {
    return problem("Too loud: the voice is clipped, and would be learned distorted. Move back.", false);
  }
  if (voiceDb < QUIET_DB) return problem(`Too quiet (${level}): come closer to the microphone.`, false);
  return good(`A good level (${level}).`);
}

function checkNoise(voiceDb: number, noiseDb: number) {
  const level = `${Math.round(noiseDb)} dB`;
  if (voiceDb - noiseDb < MIN_VOICE_OVER_NOISE_DB) {
    return problem(`Noisy (${level}): the noise would be learned with the voice. Record in a quiet room.`, false);
  }
  return good(`Little noise (${level}).`);
}

function good(text: string) {
  return { ok: true, text, fatal: false };
}

function problem(text: string, fatal: boolean) {
  return { ok: false, text, fatal };
}

function framesOf(samples: Float32Array, rateHz: number): Int16Array[] {
  const size = Math.max(1, Math.round((rateHz * FRAME_MS) / 1000));
  return Array.from({ length: Math.floor(samples.length / size) }, (_, index) =>
    Int16Array.from(samples.subarray(index * size, (index + 1) * size), (sample) =>
      Math.round(Math.max(-1, Math.min(1, sample)) * 32767),
    ),
  );
}
