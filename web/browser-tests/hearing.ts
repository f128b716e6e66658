/** What the taps of a page tell about a talk. */
import type { Page } from "playwright-core";
import type { Frame, Quantum } from "./taps";

/** Below this a sample is silence: half a step of 16 bits. */
const SILENCE = 1 / 65_536;
/** Louder than this a microphone's sample is a voice; the recordings are quieter between the words. */
const VOICED = 0.02;

/** Waits until the speaker has sounded for so many seconds in all. */
export async function soundsFor(page: Page, seconds: number): Promise<void> {
  await page.waitForFunction(
    ([wantedS, silence]) => {
      const { quanta, rateHz } = window.taps.speaker;
      return quanta.filter(({ peak }) => peak > silence).length * 128 > wantedS * rateHz && rateHz > 0;
    },
    [seconds, SILENCE] as const,
  );
}

/** Runs of the speaker that were not silent. */
export async function sounding(page: Page): Promise<Quantum[]> {
  const quanta = await page.evaluate(() => window.taps.speaker.quanta);
  return quanta.filter(({ peak }) => peak > SILENCE);
}

/** The messages of a kind. */
export async function messages(page: Page, type: string): Promise<Omit<Frame, "pcm">[]> {
  const frames = await page.evaluate(() =>
    window.taps.received.map(({ now, type, turnId, text }) => ({ now, type, turnId, text })),
  );
  return frames.filter((frame) => frame.type === type);
}

export async function until(page: Page, type: string, count = 1): Promise<void> {
  await page.waitForFunction(
    ([wanted, times]) => window.taps.received.filter((frame) => frame.type === wanted).length >= times,
    [type, count] as const,
  );
}

/**
 * How the speaker's samples compare with the speech that came over the socket: how many sounded, the largest
 * difference (1 is full scale) but for the fades after silence, and how many silent samples broke the speech.
 */
export async function fidelity(page: Page): Promise<{ samples: number; difference: number; broken: number }> {
  return page.evaluate(() => {
    const FADE = 240;
    const { speaker, received } = window.taps;
    const sent = received.flatMap(({ pcm }) => (pcm ? Array.from(pcm) : []));
    const played = speaker.samples.flatMap((run) => Array.from(run));
    const begin = (line: number[]): number => line.findIndex((sample) => sample !== 0);
    const [sentFrom, playedFrom] = [begin(sent), begin(played)];
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

/** Delays in milliseconds: from the last sample of a microphone's frame being captured to the frame on the socket. */
export async function captureToSocket(page: Page): Promise<number[]> {
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

/** Delays in milliseconds: from a reply's first audio on the socket to its first sample leaving the page's graph. */
export async function socketToSpeaker(page: Page): Promise<number[]> {
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

/** Says something to the server in the page's name. */
export async function say(page: Page, message: Record<string, unknown> & { type: string }): Promise<void> {
  await page.evaluate((text) => window.taps.socket?.send(text), JSON.stringify(message));
}

/** When a person's voice was first heard in the last utterance before `before`. */
export async function voiceOnset(page: Page, before: number): Promise<number> {
  const quanta = await page.evaluate(() => window.taps.microphone.quanta);
  const voiced = quanta.filter(({ now, peak }) => now < before && peak > VOICED).map(({ now }) => now);
  // Pauses within an utterance are shorter than this.
  return voiced.reduceRight((onset, now) => (onset - now < 600 ? now : onset), voiced.at(-1) ?? Number.NaN);
}

/** The value that so large a share of `values` does not exceed. */
export function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
