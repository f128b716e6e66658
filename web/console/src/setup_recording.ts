/** Records the user for a moment and plays it back, through what the conversation uses too. */
import { Microphone, MICROPHONE_HZ, type MicrophoneTraits, Player } from "@ai-anchor/client";

export const RECORDED_MS = 3000;
// The sound card's own delay, and no more: playback that does not end by then never will.
const PLAYBACK_MARGIN_MS = 2000;

export interface Recording {
  frames: Int16Array<ArrayBuffer>[];
  traits: MicrophoneTraits;
}

/** Records; `onPeak` gets the level as it goes. Rejects as `Microphone.open` does, or when the device goes away. */
export async function record(deviceId: string | undefined, onPeak: (peak: number) => void): Promise<Recording> {
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
    await Promise.race([elapsed(RECORDED_MS), lost]);
  } finally {
    await microphone.close();
  }
  return { frames, traits: microphone.traits };
}

/** Plays frames back; resolves when they have sounded. Whether they did. */
export async function playBack(frames: readonly Int16Array<ArrayBuffer>[], deviceId?: string): Promise<boolean> {
  const lengthMs = (frames.reduce((sum, frame) => sum + frame.length, 0) * 1000) / MICROPHONE_HZ;
  let whole = () => {};
  const heard = new Promise<boolean>((resolve) => {
    whole = () => {
      resolve(true);
    };
  });
  const player = await Player.open({
    rateHz: MICROPHONE_HZ,
    deviceId,
    onHeard: ({ playedMs }) => {
      if (playedMs >= lengthMs - 1) whole();
    },
  });
  try {
    await player.wake();
    player.place(1, 0);
    for (const frame of frames) player.push(frame.slice().buffer);
    player.end(1);
    return await Promise.race([heard, elapsed(lengthMs + PLAYBACK_MARGIN_MS).then(() => false)]);
  } finally {
    await player.close();
  }
}

function elapsed(ms: number): Promise<void> {
  return new Promise((done) => setTimeout(done, ms));
}
