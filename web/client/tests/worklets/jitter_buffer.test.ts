import { describe, expect, test } from "vitest";
import { JitterBuffer, type PlaybackReport } from "../../src/worklets/jitter_buffer";

const RATE_HZ = 24_000;
const BLOCK = 128;

/** `ms` of a constant at half of full scale, so that every step is visible. */
const speech = (ms: number) => new Int16Array((RATE_HZ * ms) / 1000).fill(16_384);

/** Pulls `ms` of samples; returns them and the reports. */
function pull(buffer: JitterBuffer, ms: number): { samples: number[]; reports: PlaybackReport[] } {
  const samples: number[] = [];
  const reports: PlaybackReport[] = [];
  for (let played = 0; played < (RATE_HZ * ms) / 1000; played += BLOCK) {
    const block = new Float32Array(BLOCK);
    const report = buffer.pull(block);
    samples.push(...block);
    if (report) reports.push(report);
  }
  return { samples, reports };
}

function bufferWithReply(latencyMs = 0): JitterBuffer {
  const buffer = new JitterBuffer(RATE_HZ);
  buffer.setPosition(1, 0, latencyMs);
  return buffer;
}

const steps = (samples: number[]) =>
  samples.slice(1).map((sample, index) => Math.abs(sample - (samples[index] as number)));

describe("a reply", () => {
  test("starts at 20 ms of audio and reports its progress", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(10));
    expect(Math.max(...pull(buffer, 50).samples)).toBe(0);
    buffer.push(speech(290));
    const { samples, reports } = pull(buffer, 400);
    expect(Math.max(...samples)).toBeCloseTo(0.5);
    expect(reports[0]?.playedMs).toBeLessThan(10);
    expect(reports.at(-1)).toMatchObject({ turnId: 1, playedMs: 300 });
  });

  test("counts as heard only after the output latency", () => {
    const buffer = bufferWithReply(200);
    buffer.push(speech(1000));
    const { reports } = pull(buffer, 500);
    expect(reports.at(-1)?.playedMs).toBeLessThanOrEqual(300);
    expect(pull(buffer, 1000).reports.at(-1)?.playedMs).toBe(1000);
  });

  test("continues without a gap after a reconnect", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(500));
    pull(buffer, 200);
    buffer.setPosition(1, 500, 0);
    buffer.push(speech(500));
    const { samples, reports } = pull(buffer, 900);
    expect(samples.filter((sample) => sample > 0.4).length).toBeGreaterThan((RATE_HZ * 780) / 1000);
    expect(reports.at(-1)?.playedMs).toBe(1000);
  });

  test("of a newer turn replaces the older turn's buffered audio", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(2000));
    pull(buffer, 100);
    buffer.setPosition(2, 0, 0);
    buffer.push(speech(100));
    expect(pull(buffer, 400).reports.at(-1)).toMatchObject({ turnId: 2, playedMs: 100 });
  });

  test("waits for more audio after an underrun, but not at its end", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(100));
    pull(buffer, 200);
    buffer.push(speech(40));
    expect(Math.max(...pull(buffer, 100).samples)).toBe(0);
    buffer.endReply();
    expect(Math.max(...pull(buffer, 100).samples)).toBeCloseTo(0.5);
  });
});

describe("stop and pause", () => {
  test("fade out within 5 ms without a click", () => {
    for (const command of ["stop", "pause"] as const) {
      const buffer = bufferWithReply();
      buffer.push(speech(1000));
      pull(buffer, 100);
      buffer[command]();
      const { samples } = pull(buffer, 100);
      expect(Math.max(...steps(samples))).toBeLessThan(0.01);
      expect(Math.max(...samples.slice((RATE_HZ * 6) / 1000))).toBe(0);
    }
  });

  test("differ: a paused reply resumes where it stopped", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(1000));
    pull(buffer, 100);
    buffer.pause();
    pull(buffer, 500);
    buffer.resume();
    expect(pull(buffer, 1200).reports.at(-1)?.playedMs).toBe(1000);
  });

  test("a stopped reply is dropped, and the next one plays from its start", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(1000));
    pull(buffer, 100);
    buffer.stop();
    pull(buffer, 20);
    buffer.setPosition(2, 0, 0);
    buffer.push(speech(50));
    expect(pull(buffer, 200).reports.at(-1)).toMatchObject({ turnId: 2, playedMs: 50 });
  });
});

test("audio beyond twelve seconds is dropped and counted", () => {
  const buffer = bufferWithReply();
  expect(buffer.push(speech(10_000))).toBe(0);
  expect(buffer.push(speech(3000))).toBe(RATE_HZ);
});

describe("the state of the buffer", () => {
  test("tells how much audio waits", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(1000));
    const report = pull(buffer, 300).reports.at(-1);
    expect(report).toMatchObject({ underruns: 0, underrunMs: 0 });
    expect(report?.bufferedMs).toBeGreaterThan(600);
    expect((report?.bufferedMs ?? 0) + (report?.playedMs ?? 0)).toBeCloseTo(1000, -1);
  });

  test("an empty buffer is an underrun once more of the reply follows, for as long as it was silent", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(100));
    expect(pull(buffer, 400).reports.at(-1)).toMatchObject({ playedMs: 100, bufferedMs: 0, underruns: 0 });
    buffer.push(speech(300));
    const report = pull(buffer, 150).reports.at(-1);
    expect(report?.underruns).toBe(1);
    expect(report?.underrunMs).toBeGreaterThan(280);
    expect(report?.underrunMs).toBeLessThan(320);
  });

  test("the silence after a reply, before the next and in a pause is none", () => {
    const buffer = bufferWithReply();
    buffer.push(speech(100));
    buffer.endReply();
    pull(buffer, 400);
    buffer.setPosition(2, 0, 0);
    buffer.push(speech(400));
    pull(buffer, 100);
    buffer.pause();
    pull(buffer, 500);
    buffer.resume();
    expect(pull(buffer, 500).reports.at(-1)).toMatchObject({ turnId: 2, playedMs: 400, underruns: 0, underrunMs: 0 });
  });
});
