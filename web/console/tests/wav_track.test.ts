import { expect, test } from "vitest";
import { wavHeader, WavTrack } from "../src/wav_track";

const RATE_HZ = 1000;

/** A track at one sample a millisecond, and the samples that it wrote. */
function track() {
  const written: number[] = [];
  const wav = new WavTrack(RATE_HZ, (bytes) => {
    written.push(...new Int16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
  });
  return { wav, written };
}

const piece = (value: number, samples = 20) => new Int16Array(samples).fill(value).buffer;

test("pieces that follow one another are joined without a gap, however late they arrive", () => {
  const { wav, written } = track();
  // The page was busy: the second to the fourth arrive together.
  for (const [atMs, nowMs] of [
    [1020, 20],
    [1040, 300],
    [1060, 300],
    [1080, 301],
  ] as const)
    wav.push(piece(atMs), atMs, nowMs);
  expect(written).toEqual([1020, 1040, 1060, 1080].flatMap((value) => new Array<number>(20).fill(value)));
});

test("a closed microphone is silence", () => {
  const { wav, written } = track();
  wav.push(piece(1), 1020, 20);
  // Opened again: another clock.
  wav.push(piece(2), 20, 520);
  expect(written).toHaveLength(520);
  expect(written.slice(20, 500).every((sample) => sample === 0)).toBe(true);
  expect(written.slice(500)).toEqual(new Array(20).fill(2));
});

test("a first piece that arrives late is put in its place by the ones that follow", () => {
  const { wav } = track();
  wav.push(piece(1), 1020, 400);
  wav.push(piece(2), 1040, 401);
  wav.end(1000);
  expect(wav.samples).toBe(1000);
});

test("sound from before the recording is left out", () => {
  const { wav, written } = track();
  wav.push(piece(7, 100), 1000, 30);
  expect(written).toEqual(new Array(30).fill(7));
});

test("both sides end at the same time, with silence where nothing sounded", () => {
  const { wav, written } = track();
  wav.end(123_456);
  expect(written).toHaveLength(123_456);
});

test("the header states the length and the rate", () => {
  const header = new DataView(wavHeader(24_000, 10).buffer);
  const text = (from: number, to: number) => String.fromCharCode(...new Uint8Array(header.buffer.slice(from, to)));
  expect([text(0, 4), text(8, 16), text(36, 40)]).toEqual(["RIFF", "WAVEfmt ", "data"]);
  expect([header.getUint32(4, true), header.getUint32(24, true), header.getUint32(40, true)]).toEqual([56, 24_000, 20]);
});
