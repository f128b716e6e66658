/** Reads WAV files that are played from the page as if they were spoken. */
import { MICROPHONE_HZ } from "@ai-anchor/client";

/** Longer recordings are refused. */
export const MAX_SECONDS = 60;
/** Larger files are refused unread: a minute in stereo at 48 kHz and 16 bits has 11.5 million bytes. */
export const MAX_FILE_BYTES = 12_000_000;
/** The silence sent after a recording, in milliseconds: longer than any wait for the end of a turn. */
export const SILENCE_AFTER_MS = 3500;

const MIN_RATE_HZ = 8000;
const MAX_RATE_HZ = 192_000;
const MAX_CHANNELS = 8;
// PCM, float, and the form that names one of both further on. Others, such as MP3 in a WAV file, unpack to any size.
const FORMATS: readonly number[] = [1, 3, 0xff_fe];

/** Why a file cannot be played, in a sentence for the user. */
export class UnusableRecording extends Error {}

/** The length of a WAV file in seconds. Throws `UnusableRecording` unless it is an uncompressed WAV of bounded length. */
export function wavSeconds(file: ArrayBuffer): number {
  const view = new DataView(file);
  if (file.byteLength > MAX_FILE_BYTES) throw new UnusableRecording("The file is too large: at most 12 MB.");
  if (file.byteLength < 12 || tag(view, 0) !== "RIFF" || tag(view, 8) !== "WAVE")
    throw new UnusableRecording("This is no WAV file.");
  let bytesPerSecond = 0;
  for (let at = 12; at + 8 <= file.byteLength;) {
    const name = tag(view, at);
    const length = view.getUint32(at + 4, true);
    if (name === "fmt " && at + 24 <= file.byteLength) bytesPerSecond = readFormat(view, at + 8);
    if (name === "data") {
      if (bytesPerSecond === 0) break;
      // Programs that write as they record leave the length open.
      const seconds = Math.min(length, file.byteLength - at - 8) / bytesPerSecond;
      if (seconds === 0) throw new UnusableRecording("The recording is empty.");
      if (seconds > MAX_SECONDS)
        throw new UnusableRecording(`The recording is too long: at most ${MAX_SECONDS} seconds.`);
      return seconds;
    }
    // Chunks begin at even offsets.
    at += 8 + length + (length % 2);
  }
  throw new UnusableRecording("This WAV file has no sound that can be read.");
}

/** The samples of a WAV file as the microphone would send them: mono at `MICROPHONE_HZ`. Throws `UnusableRecording`. */
export async function decodeRecording(file: ArrayBuffer): Promise<Int16Array> {
  wavSeconds(file);
  // The context resamples what it decodes to its own rate.
  const context = new OfflineAudioContext(1, 1, MICROPHONE_HZ);
  let decoded: AudioBuffer;
  try {
    decoded = await context.decodeAudioData(file);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new UnusableRecording("The browser cannot read this WAV file.");
  }
  return mixToPcm16(Array.from({ length: decoded.numberOfChannels }, (_, channel) => decoded.getChannelData(channel)));
}

/** The mean of the channels as PCM16, at most `MAX_SECONDS` of it. */
export function mixToPcm16(channels: readonly Float32Array[]): Int16Array {
  const length = Math.min(channels[0]?.length ?? 0, MAX_SECONDS * MICROPHONE_HZ);
  return Int16Array.from({ length }, (_, index) => {
    const sum = channels.reduce((total, channel) => total + (channel[index] ?? 0), 0);
    return Math.max(-32768, Math.min(32767, Math.round((sum / channels.length) * 32768)));
  });
}

/** `samples`, followed by `SILENCE_AFTER_MS` of silence. */
export function withSilence(samples: Int16Array): Int16Array {
  const longer = new Int16Array(samples.length + (SILENCE_AFTER_MS * MICROPHONE_HZ) / 1000);
  longer.set(samples);
  return longer;
}

// Returns the bytes per second, by the fields that a decoder uses.
function readFormat(view: DataView, at: number): number {
  const format = view.getUint16(at, true);
  const channels = view.getUint16(at + 2, true);
  const rateHz = view.getUint32(at + 4, true);
  const bits = view.getUint16(at + 14, true);
  if (!FORMATS.includes(format)) throw new UnusableRecording("The WAV file is compressed. Save it as PCM.");
  const isSupported =
    channels >= 1 && channels <= MAX_CHANNELS && rateHz >= MIN_RATE_HZ && rateHz <= MAX_RATE_HZ && bits >= 8;
  if (!isSupported) throw new UnusableRecording("The WAV file has a form that cannot be played.");
  return (channels * rateHz * bits) / 8;
}

function tag(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((offset) => view.getUint8(at + offset)));
}
