import type { LatencyWaterfallSchema } from "@ai-anchor/client";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { LOST_AFTER_MS, MAX_ROUND_TRIPS, NetworkFeed, RoundTrips, soundPath } from "../src/network";
import { newTurn, type Turn } from "../src/turn";
import { latencyWaterfall, play, playback, replyAudio, SPEAKING } from "./script";

function measured(...tripsMs: number[]): RoundTrips {
  const trips = new RoundTrips();
  tripsMs.forEach((ms, index) => {
    trips.end(trips.begin(index * 1000), index * 1000 + ms);
  });
  return trips;
}

const TABLE: [trips: number[], latestMs: number, medianMs: number, jitterMs: number][] = [
  [[12], 12, 12, 0],
  [[10, 20, 10], 10, 10, 10],
  [[10, 10, 40, 10], 10, 10, 20],
];

test.for(TABLE)("round trips of %j ms", ([trips, latestMs, medianMs, jitterMs]) => {
  expect(measured(...trips).statistics).toEqual({ latestMs, medianMs, jitterMs, count: trips.length });
});

test("no answer, no figure; unknown and repeated answers count for nothing", () => {
  const trips = new RoundTrips();
  expect(trips.statistics).toBeNull();
  const id = trips.begin(0);
  trips.end(id + 7, 3);
  expect(trips.statistics).toBeNull();
  trips.end(id, 10);
  trips.end(id, 500);
  expect(trips.statistics).toMatchObject({ latestMs: 10, count: 1 });
});

test("a ping without an answer is lost after a while, unless it was never sent", () => {
  const trips = new RoundTrips();
  const late = trips.begin(0);
  trips.cancel(trips.begin(1));
  trips.begin(LOST_AFTER_MS);
  expect(trips.lost).toBe(1);
  trips.end(late, LOST_AFTER_MS + 1);
  expect(trips.statistics).toBeNull();
});

test("the statistics forget old round trips", () => {
  const trips = measured(5000, ...Array.from({ length: MAX_ROUND_TRIPS }, () => 10));
  expect(trips.statistics).toEqual({ latestMs: 10, medianMs: 10, jitterMs: 0, count: MAX_ROUND_TRIPS });
});

test("subscribers are told of pongs and of the buffer", () => {
  const feed = new NetworkFeed();
  let told = 0;
  const unsubscribe = feed.subscribe(() => (told += 1));
  feed.onPong(feed.roundTrips.begin(0), 20);
  feed.onPlayback({ turnId: 1, playedMs: 100, peak: 0.5, bufferedMs: 900, underruns: 1, underrunMs: 40 });
  unsubscribe();
  feed.onPong(1, 30);
  expect(told).toBe(2);
  expect(feed.buffer).toEqual({ bufferedMs: 900, underruns: 1, underrunMs: 40 });
});

const heard = (fields: MessageInitShape<typeof LatencyWaterfallSchema>, turn: Partial<Turn> = {}): Turn => ({
  ...newTurn(1, 1),
  soundArrivedMs: 5000,
  replyFromMs: 5060,
  playedMs: 300,
  latency: latencyWaterfall(fields),
  ...turn,
});
const SENT_AND_HEARD = { firstFrameSentMs: 460, firstSampleHeardMs: 560 };

test("the gap between sent and heard is split into the page's part and the rest", () => {
  expect(soundPath(heard(SENT_AND_HEARD))).toEqual({ totalMs: 100, pageMs: 60, transferMs: 40 });
  // Clocks are rounded: nothing takes less than no time.
  expect(soundPath(heard(SENT_AND_HEARD, { replyFromMs: 5101 }))).toMatchObject({ pageMs: 101, transferMs: 0 });
});

test.for<[string, Turn]>([
  ["no figures", { ...heard({}), latency: null }],
  ["no report", heard({ firstFrameSentMs: 460 })],
  ["nothing played", heard(SENT_AND_HEARD, { playedMs: null })],
  ["no sound", heard(SENT_AND_HEARD, { soundArrivedMs: null })],
])("with %s the gap is not split", ([, turn]) => {
  expect(soundPath(turn)).toBeNull();
});

test("the arrival of a reply's sound is that of its first", () => {
  const [turn] = play(...SPEAKING, replyAudio(1), playback(1, 100, 160)).turns;
  expect(turn).toMatchObject({ soundArrivedMs: 60, replyFromMs: 60 });
});
