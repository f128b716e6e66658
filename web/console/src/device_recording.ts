/** Records and plays back a few seconds, with the client library's own microphone and player. */
import { Microphone, MICROPHONE_HZ, type MicrophoneSettings, Player } from "@ai-anchor/client";

export const RECORDING_MS = 3000;
// Allows for the output latency. Playback that takes longer has failed.
const PLAYBACK_MARGIN_MS = 2000;

export interface Recording {
  frames: Int16Array<ArrayBuffer>[];
  settings: MicrophoneSettings;
}

/**
 * Records for `RECORDING_MS`; `onPeak` gets the peak of each frame. Rejects as `Microphone.open` does, or with
 * `NotFoundError` when the device disappears.
 */
export async function recordMicrophone(
  deviceId: string | undefined,
  onPeak: (peak: number) => void,
): Promise<Recording> {
  const frames: Int16Array<ArrayBuffer>[] = [];
  const onFrame = (pcm: ArrayBuffer, peak: number) => {
    frames.push(new Int16Array(pcm));
    onPeak(peak);
  };
  let onLost = () => {};
  const lost = new Promise<never>((_, reject) => {
    onLost = () => {
      reject(new DOMException("The microphone went away.", "NotFoundError"));
    };
  });
  const microphone = await Microphone.open({
    deviceId,
    onFrame,
    onLost: () => {
      onLost();
    },
  });
  try {
    await Promise.race([delay(RECORDING_MS), lost]);
  } finally {
    await microphone.close();
  }
  return { frames, settings: microphone.settings };
}

/** Plays frames; resolves to true once they have played, or to false when playback fails. */
export async function playRecording(frames: readonly Int16Array<ArrayBuffer>[], deviceId?: string): Promise<boolean> {
  const lengthMs = (frames.reduce((sum, frame) => sum + frame.length, 0) * 1000) / MICROPHONE_HZ;
  let onPlayedToEnd = () => {};
  const playedToEnd = new Promise<boolean>((resolve) => {
    onPlayedToEnd = () => {
      resolve(true);
    };
  });
  const player = await Player.open({
    rateHz: MICROPHONE_HZ,
    deviceId,
    onPlayback: ({ playedMs }) => {
      if (playedMs >= lengthMs - 1) onPlayedToEnd();
    },
  });
  try {
    await player.startAudio();
    player.setPosition(1, 0);
    for (const frame of frames) player.pushAudio(frame.slice().buffer);
    player.endReply(1);
    return await Promise.race([playedToEnd, delay(lengthMs + PLAYBACK_MARGIN_MS).then(() => false)]);
  } finally {
    await player.close();
  }
}

function delay(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
