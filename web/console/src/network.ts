/** The network and the player, measured from the page. No timer and no socket: times are parameters. */
import type { PlaybackReport } from "@ai-anchor/client";
import { percentile } from "./latency";
import type { Turn } from "./turn";

/** Statistics are of this many round trips, the newest. */
export const MAX_ROUND_TRIPS = 60;
/** A ping without an answer for so long counts as lost: the connection was, most likely. */
export const LOST_AFTER_MS = 5000;

/** Of the newest round trips, in milliseconds; null before the first. */
export interface RoundTripStatistics {
  latestMs: number;
  medianMs: number;
  /** Mean difference of one round trip to the next; 0 with one of them. */
  jitterMs: number;
  count: number;
}

/** Matches pongs with pings. */
export class RoundTrips {
  #lastId = 0;
  readonly #sentAtMs = new Map<number, number>();
  #tripsMs: number[] = [];
  /** Pings that were not answered within `LOST_AFTER_MS`. */
  lost = 0;

  /** Begins a round trip at `nowMs`; returns its id. */
  begin(nowMs: number): number {
    for (const [id, sentAtMs] of this.#sentAtMs) {
      if (nowMs - sentAtMs < LOST_AFTER_MS) continue;
      this.#sentAtMs.delete(id);
      this.lost += 1;
    }
    this.#lastId += 1;
    this.#sentAtMs.set(this.#lastId, nowMs);
    return this.#lastId;
  }

  /** The ping was not sent after all: it is not lost either. */
  cancel(id: number): void {
    this.#sentAtMs.delete(id);
  }

  /** Ends the round trip `id`; an unknown id is ignored. */
  end(id: number, nowMs: number): void {
    const sentAtMs = this.#sentAtMs.get(id);
    if (sentAtMs === undefined) return;
    this.#sentAtMs.delete(id);
    this.#tripsMs = [...this.#tripsMs, nowMs - sentAtMs].slice(-MAX_ROUND_TRIPS);
  }

  get statistics(): RoundTripStatistics | null {
    const trips = this.#tripsMs;
    const latestMs = trips.at(-1);
    const medianMs = percentile(trips, 0.5);
    if (latestMs === undefined || medianMs === undefined) return null;
    const steps = trips.slice(1).map((ms, index) => Math.abs(ms - (trips[index] ?? ms)));
    const jitterMs = steps.length > 0 ? steps.reduce((sum, step) => sum + step, 0) / steps.length : 0;
    return { latestMs, medianMs, jitterMs, count: trips.length };
  }
}

/** The latest state of the player's buffer; null before the first reply. */
export type BufferState = Pick<PlaybackReport, "bufferedMs" | "underruns" | "underrunMs">;

/** Passes measurements to the monitor without the store, which renders the whole page. */
export class NetworkFeed {
  readonly roundTrips = new RoundTrips();
  buffer: BufferState | null = null;
  readonly #subscribers = new Set<() => void>();

  onPong(id: number, nowMs: number): void {
    this.roundTrips.end(id, nowMs);
    this.#tell();
  }

  onPlayback({ bufferedMs, underruns, underrunMs }: PlaybackReport): void {
    this.buffer = { bufferedMs, underruns, underrunMs };
    this.#tell();
  }

  /** Calls `subscriber` after every measurement until the returned function is called. */
  subscribe(subscriber: () => void): () => void {
    this.#subscribers.add(subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }

  #tell(): void {
    for (const subscriber of this.#subscribers) subscriber();
  }
}

/** Where the time went between the first frame that the server sent and the first sample that was heard. */
export interface SoundPath {
  /** The stage "heard" less the stage "sent". */
  totalMs: number;
  /** From the arrival of the first sound to its playing: the buffer and the sound card. */
  pageMs: number;
  /** The rest: the sound's way here and the report's way back, with what they wait for at both ends. */
  transferMs: number;
}

/** The split of a turn's last gap; null when its sound was not measured at both ends. */
export function soundPath({ latency, soundArrivedMs, replyFromMs, playedMs }: Turn): SoundPath | null {
  if (!latency || soundArrivedMs === null || replyFromMs === null || playedMs === null) return null;
  const { firstFrameSentMs, firstSampleHeardMs } = latency;
  if (firstFrameSentMs === undefined || firstSampleHeardMs === undefined) return null;
  const totalMs = firstSampleHeardMs - firstFrameSentMs;
  const pageMs = Math.round(replyFromMs - soundArrivedMs);
  return { totalMs, pageMs, transferMs: Math.max(0, totalMs - pageMs) };
}
