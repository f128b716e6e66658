import { describe, expect, test } from "vitest";
import { type Heard, PlaybackLine } from "../src/worklets/playback_line";

const RATE_HZ = 24_000;
const BLOCK = 128;

/** `ms` of a constant, half of full scale, so that any step shows. */
const speech = (ms: number) => new Int16Array((RATE_HZ * ms) / 1000).fill(16_384);

/** Plays `ms`; returns the samples and the reports. */
function play(line: PlaybackLine, ms: number): { sound: number[]; reports: Heard[] } {
  const sound: number[] = [];
  const reports: Heard[] = [];
  for (let played = 0; played < (RATE_HZ * ms) / 1000; played += BLOCK) {
    const block = new Float32Array(BLOCK);
    const heard = line.play(block);
    sound.push(...block);
    if (heard) reports.push(heard);
  }
  return { sound, reports };
}

function placed(latencyMs = 0): PlaybackLine {
  const line = new PlaybackLine(RATE_HZ);
  line.place(1, 0, latencyMs);
  return line;
}

const steps = (sound: number[]) => sound.slice(1).map((sample, index) => Math.abs(sample - (sound[index] as number)));

describe("a reply", () => {
  test("sounds once 20 ms are there, and is reported as it is heard", () => {
    const line = placed();
    line.push(speech(10));
    expect(Math.max(...play(line, 50).sound)).toBe(0);
    line.push(speech(290));
    const { sound, reports } = play(line, 400);
    expect(Math.max(...sound)).toBeCloseTo(0.5);
    expect(reports[0]?.playedMs).toBeLessThan(10);
    expect(reports.at(-1)).toMatchObject({ turnId: 1, playedMs: 300 });
  });

  test("counts as heard only when it has passed the sound card", () => {
    const line = placed(200);
    line.push(speech(1000));
    const { reports } = play(line, 500);
    expect(reports.at(-1)?.playedMs).toBeLessThanOrEqual(300);
    expect(play(line, 1000).reports.at(-1)?.playedMs).toBe(1000);
  });

  test("that goes on after a dropped line is one sound without a gap", () => {
    const line = placed();
    line.push(speech(500));
    play(line, 200);
    line.place(1, 500, 0);
    line.push(speech(500));
    const { sound, reports } = play(line, 900);
    expect(sound.filter((sample) => sample > 0.4).length).toBeGreaterThan((RATE_HZ * 780) / 1000);
    expect(reports.at(-1)?.playedMs).toBe(1000);
  });

  test("of a newer turn replaces what waits of the older", () => {
    const line = placed();
    line.push(speech(2000));
    play(line, 100);
    line.place(2, 0, 0);
    line.push(speech(100));
    expect(play(line, 400).reports.at(-1)).toMatchObject({ turnId: 2, playedMs: 100 });
  });

  test("waits for more after the line ran dry, but not at its end", () => {
    const line = placed();
    line.push(speech(100));
    play(line, 200);
    line.push(speech(40));
    expect(Math.max(...play(line, 100).sound)).toBe(0);
    line.end();
    expect(Math.max(...play(line, 100).sound)).toBeCloseTo(0.5);
  });
});

describe("a stop and a pause", () => {
  test("fade within 5 ms and never click", () => {
    for (const command of ["stop", "pause"] as const) {
      const line = placed();
      line.push(speech(1000));
      play(line, 100);
      line[command]();
      const { sound } = play(line, 100);
      expect(Math.max(...steps(sound))).toBeLessThan(0.01);
      expect(Math.max(...sound.slice((RATE_HZ * 6) / 1000))).toBe(0);
    }
  });

  test("differ: what was paused goes on where it was", () => {
    const line = placed();
    line.push(speech(1000));
    play(line, 100);
    line.pause();
    play(line, 500);
    line.resume();
    expect(play(line, 1200).reports.at(-1)?.playedMs).toBe(1000);
  });

  test("a stopped reply is gone, and the next one sounds from its beginning", () => {
    const line = placed();
    line.push(speech(1000));
    play(line, 100);
    line.stop();
    play(line, 20);
    line.place(2, 0, 0);
    line.push(speech(50));
    expect(play(line, 200).reports.at(-1)).toMatchObject({ turnId: 2, playedMs: 50 });
  });
});

test("more than twelve seconds ahead is dropped and told", () => {
  const line = placed();
  expect(line.push(speech(10_000))).toBe(0);
  expect(line.push(speech(3000))).toBe(RATE_HZ);
});
