/** Records a voice as the device hears it, and decodes and plays recordings. */
import { MAX_RECORDING_S } from "./voice_quality";

/** A recording in progress; `stop` resolves to it, and releases the device. */
export interface VoiceRecorder {
  stop: () => Promise<Blob>;
}

/**
 * Opens the microphone and records. The filters of a call stay off, because the engine would learn what they do to a
 * voice. Stops by itself at the longest recording, and then calls `onFull`. Rejects with the browser's `DOMException`.
 */
export async function recordVoice(deviceId: string | undefined, onFull: () => void): Promise<VoiceRecorder> {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: {
      echoCancellation: false,
      noiseSuppression: false,
      autoGainControl: false,
      channelCount: 1,
      ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
    },
  });
  const recorder = new MediaRecorder(stream, { audioBitsPerSecond: 128_000 });
  const parts: Blob[] = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise<Blob>((resolve) => {
    recorder.onstop = () => {
      for (const track of stream.getTracks()) track.stop();
      resolve(new Blob(parts, { type: recorder.mimeType }));
    };
  });
  recorder.start();
  const timer = setTimeout(onFull, (MAX_RECORDING_S - 0.5) * 1000);
  return {
    stop: () => {
      clearTimeout(timer);
      if (recorder.state !== "inactive") recorder.stop();
      return stopped;
    },
  };
}

/** The first channel of a recording, -1 to 1, and its rate; null where the browser cannot decode it. */
export async function decodeSamples(recording: Blob): Promise<{ samples: Float32Array; rateHz: number } | null> {
  const context = new AudioContext();
  try {
    const decoded = await context.decodeAudioData(await recording.arrayBuffer());
    return { samples: decoded.getChannelData(0), rateHz: decoded.sampleRate };
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  } finally {
    await context.close();
  }
}

/** Plays an audio file; resolves at its end. The page's policy blocks `blob:` URLs, so no `audio` element can. */
export async function playAudio(file: ArrayBuffer): Promise<void> {
  const context = new AudioContext();
  try {
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(file);
    source.connect(context.destination);
    await new Promise<void>((resolve) => {
      source.onended = () => {
        resolve();
      };
      source.start();
    });
  } finally {
    await context.close();
  }
}
