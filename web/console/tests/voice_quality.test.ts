import { expect, test } from "vitest";
import { checkRecording } from "../src/voice_quality";

const RATE_HZ = 48_000;

/** Words of a tone with pauses of noise; `peak` and `noise` of full scale. */
function speech(seconds: number, peak: number, noise = 0.0005): Float32Array {
  return Float32Array.from({ length: seconds * RATE_HZ }, (_, at) => {
    const speaking = Math.floor(at / (RATE_HZ / 4)) % 3 !== 0;
    return Math.max(-1, Math.min(1, Math.sin(at / 30) * (speaking ? peak : noise)));
  });
}

function texts(samples: Float32Array): string {
  return checkRecording(samples, RATE_HZ)
    .map(({ ok, fatal, text }) => `${ok ? "+" : fatal ? "x" : "-"} ${text}`)
    .join("\n");
}

test("a good recording passes every check", () => {
  expect(texts(speech(10, 0.3))).toBe("+ A good length (10.0 s).\n+ A good level (-13 dB).\n+ Little noise (-69 dB).");
});

test.each([
  [1.5, 0.3, 0.0005, "x Too short (1.5 s)"],
  [16, 0.3, 0.0005, "x Too long (16.0 s)"],
  [4, 0.3, 0.0005, "- Short (4.0 s)"],
  [10, 0.015, 0.0001, "- Too quiet (-39 dB)"],
  [10, 1.4, 0.0005, "- Too loud: the voice is clipped"],
  [10, 0.3, 0.03, "- Noisy (-34 dB)"],
  [10, 0, 0, "x Nothing was heard"],
])("a recording of %s s with peak %s and noise %s is answered with advice", (seconds, peak, noise, advice) => {
  expect(texts(speech(seconds, peak, noise))).toContain(advice);
});

test("an empty recording cannot be used", () => {
  expect(texts(new Float32Array(0))).toContain("x Too short (0.0 s)");
});
