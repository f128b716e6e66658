/** Reads the taps of a page: messages, audio and delays. */
import type { Page } from "playwright-core";
import type { Frame, Quantum } from "./taps";

/** A sample below this is silence: half a step of 16 bits. */
const SILENCE_PEAK = 1 / 65_536;
/** A microphone sample above this is voice; the recordings are quieter between words. */
const VOICE_PEAK = 0.02;

/** Waits until the speaker has played `seconds` of sound in total. */
export async function waitForPlayback(page: Page, seconds: number): Promise<void> {
  await page.waitForFunction(
    ([wantedS, silence]) => {
      const { quanta, rateHz } = window.taps.speaker;
      return quanta.filter(({ peak }) => peak > silence).length * 128 > wantedS * rateHz && rateHz > 0;
    },
    [seconds, SILENCE_PEAK] as const,
  );
}

/** The speaker's quanta that are not silent. */
export async function audibleQuanta(page: Page): Promise<Quantum[]> {
  const quanta = await page.evaluate(() => window.taps.speaker.quanta);
  return quanta.filter(({ peak }) => peak > SILENCE_PEAK);
}

/** The received messages of one type. */
export async function receivedMessages(page: Page, type: string): Promise<Omit<Frame, "pcm">[]> {
  const frames = await page.evaluate(() =>
    window.taps.received.map(({ now, type, turnId, text }) => ({ now, type, turnId, text })),
  );
  return frames.filter((frame) => frame.type === type);
}

/**
 * The first reply that a voice cut off: the message that silenced the speaker, which is the pause or, where words came
 * first, the stop; and the first audio of the next reply. Null until all of it has arrived. A reply withdrawn because
 * its turn went on is stopped too, but not finished.
 */
export async function interruptedReply(page: Page): Promise<{ silenced: Frame; next: Frame } | null> {
  return page.evaluate(() => {
    const { received } = window.taps;
    const finished = received.findIndex(
      ({ type, turnId }, index) =>
        type === "reply_finished" &&
        received.slice(0, index).some((other) => other.type === "playback_stop" && other.turnId === turnId),
    );
    const next = finished < 0 ? undefined : received.slice(finished).find(({ type }) => type === "reply_audio");
    const playback = received.slice(0, finished).filter(({ type }) => type.startsWith("playback_"));
    const [last, before] = playback.reverse();
    const silenced = before?.type === "playback_pause" ? before : last;
    return silenced && next ? { silenced, next } : null;
  });
}

/** Waits until `count` messages of one type have arrived. */
export async function waitForMessage(page: Page, type: string, count = 1): Promise<void> {
  await page.waitForFunction(
    ([wanted, times]) => window.taps.received.filter((frame) => frame.type === wanted).length >= times,
    [type, count] as const,
  );
}

/**
 * Compares the speaker's samples with the speech received on the socket: the number of samples played, the largest
 * difference (1 is full scale) outside the fades after silence, and the number of silent samples within the speech.
 */
export async function comparePlayback(page: Page): Promise<{ samples: number; difference: number; broken: number }> {
  return page.evaluate(() => {
    const FADE = 240;
    const { speaker, received } = window.taps;
    // A turn that goes on after a pause is reopened: the client drops what it had of the first reply.
    const kept = received.slice(received.findLastIndex(({ type }) => type === "playback_stop") + 1);
    const since = kept.find(({ pcm }) => pcm)?.now ?? 0;
    const sent = kept.flatMap(({ pcm }) => (pcm ? Array.from(pcm) : []));
    const played = speaker.samples.flatMap((run, index) =>
      (speaker.quanta[index]?.now ?? 0) >= since ? Array.from(run) : [],
    );
    const firstSound = (samples: number[]): number => samples.findIndex((sample) => sample !== 0);
    const [sentFrom, playedFrom] = [firstSound(sent), firstSound(played)];
    let [samples, difference, broken, sinceSilence] = [0, 0, 0, 0];
    for (let from = sentFrom, to = playedFrom; from < sent.length && to < played.length; to += 1) {
      const [was, is] = [(sent[from] ?? 0) / 32768, played[to] ?? 0];
      if (is === 0 && was !== 0) {
        broken += 1;
        sinceSilence = 0;
        continue;
      }
      if (sinceSilence >= FADE) difference = Math.max(difference, Math.abs(is - was));
      sinceSilence += 1;
      samples += 1;
      from += 1;
    }
    return { samples, difference, broken };
  });
}

/** Milliseconds from the capture of each microphone frame's last sample until the frame is sent. */
export async function captureToSocketMs(page: Page): Promise<number[]> {
  return page.evaluate(() => {
    const { microphone, sent } = window.taps;
    const frames = sent.filter(({ type }) => type === "");
    const captured = (sample: number): number | undefined => microphone.quanta[Math.floor(sample / 128)]?.now;
    return frames.flatMap(({ now }, index) => {
      const was = captured(((index + 1) * microphone.rateHz) / 50 - 1);
      return was === undefined ? [] : [now - was];
    });
  });
}

/** Milliseconds from each reply's first audio on the socket until its first sample is rendered. */
export async function socketToSpeakerMs(page: Page): Promise<number[]> {
  return page.evaluate(() => {
    const { speaker, received } = window.taps;
    const placed = received.flatMap(({ type }, index) => (type === "reply_audio" ? [index] : []));
    return placed.flatMap((index) => {
      const first = received.slice(index).find(({ pcm }) => pcm !== null);
      const heard = first && speaker.quanta.find(({ now, peak }) => now >= first.now && peak > 0);
      return first && heard ? [heard.now - first.now] : [];
    });
  });
}

/** Sends a message to the server on the page's socket. */
export async function sendMessage(page: Page, message: Record<string, unknown> & { type: string }): Promise<void> {
  await page.evaluate((text) => window.taps.socket?.send(text), JSON.stringify(message));
}

/** When the last utterance before `before` began at the microphone. */
export async function voiceOnset(page: Page, before: number): Promise<number> {
  const quanta = await page.evaluate(() => window.taps.microphone.quanta);
  const voiced = quanta.filter(({ now, peak }) => now < before && peak > VOICE_PEAK).map(({ now }) => now);
  // Pauses within an utterance are shorter than 600 ms.
  return voiced.reduceRight((onset, now) => (onset - now < 600 ? now : onset), voiced.at(-1) ?? Number.NaN);
}

/** The newest microphone track that the page was given: `enabled` is false while the page mutes it. */
export async function microphoneTrack(page: Page): Promise<{ state: MediaStreamTrackState; enabled: boolean } | null> {
  return page.evaluate(() => {
    const track = window.taps.tracks.at(-1);
    return track ? { state: track.readyState, enabled: track.enabled } : null;
  });
}

/** How many messages of one type the page has sent; the empty type is a microphone frame. */
export async function sentCount(page: Page, type: string): Promise<number> {
  return page.evaluate((wanted) => window.taps.sent.filter((frame) => frame.type === wanted).length, type);
}
