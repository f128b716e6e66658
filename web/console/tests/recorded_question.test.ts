import { expect, test } from "vitest";
import { MAX_FILE_BYTES, mixToPcm16, UnusableRecording, wavSeconds, withSilence } from "../src/recorded_question";

interface Wav {
  format?: number;
  channels?: number;
  rateHz?: number;
  bits?: number;
  /** Bytes of sound. */
  bytes?: number;
  /** The length that the file says it has. */
  says?: number;
  /** Length of a chunk before the format, and what the file says it is. */
  before?: number;
  beforeSays?: number;
}

function wav({
  format = 1,
  channels = 1,
  rateHz = 16_000,
  bits = 16,
  bytes = 32_000,
  says = bytes,
  before,
  beforeSays,
}: Wav = {}) {
  const extra = before === undefined ? 0 : 8 + before + (before % 2);
  const view = new DataView(new ArrayBuffer(44 + extra + bytes));
  const put = (at: number, text: string) => {
    Array.from(text).forEach((letter, index) => {
      view.setUint8(at + index, letter.charCodeAt(0));
    });
  };
  put(0, "RIFF");
  put(8, "WAVE");
  if (before !== undefined) {
    put(12, "LIST");
    view.setUint32(16, beforeSays ?? before, true);
  }
  put(12 + extra, "fmt ");
  view.setUint32(16 + extra, 16, true);
  view.setUint16(20 + extra, format, true);
  view.setUint16(22 + extra, channels, true);
  view.setUint32(24 + extra, rateHz, true);
  view.setUint16(34 + extra, bits, true);
  put(36 + extra, "data");
  view.setUint32(40 + extra, says, true);
  return view.buffer;
}

test.for<[name: string, file: ArrayBuffer, seconds: number]>([
  ["16 kHz mono", wav(), 1],
  ["48 kHz stereo in float", wav({ format: 3, channels: 2, rateHz: 48_000, bits: 32, bytes: 384_000 }), 1],
  ["a file with an odd chunk before", wav({ before: 5 }), 1],
  ["a file whose length was left open", wav({ says: 0xff_ff_ff_ff }), 1],
])("%s is read", ([, file, seconds]) => {
  expect(wavSeconds(file)).toBe(seconds);
});

test.for<[name: string, file: ArrayBuffer, message: RegExp]>([
  ["nothing", new ArrayBuffer(0), /no WAV file/],
  ["a text", new TextEncoder().encode("RIFF, they said, but it was no such thing").buffer, /no WAV file/],
  ["a head without a body", wav().slice(0, 40), /no sound that can be read/],
  ["silence of no length", wav({ bytes: 0 }), /empty/],
  ["sixty-one seconds", wav({ rateHz: 8000, bits: 8, bytes: 488_000 }), /at most 60 seconds/],
  ["a compressed file", wav({ format: 0x55 }), /compressed/],
  ["no channel", wav({ channels: 0 }), /cannot be played/],
  ["a rate of nothing", wav({ rateHz: 0 }), /cannot be played/],
  ["a rate that would be endless", wav({ rateHz: 4_000_000_000 }), /cannot be played/],
  ["samples without bits", wav({ bits: 0 }), /cannot be played/],
  ["a chunk that says it is endless", wav({ before: 4, beforeSays: 0xff_ff_ff_ff }), /no sound that can be read/],
  ["a file that is too large", new ArrayBuffer(MAX_FILE_BYTES + 1), /too large/],
])("%s is refused", ([, file, message]) => {
  expect(() => wavSeconds(file)).toThrow(UnusableRecording);
  expect(() => wavSeconds(file)).toThrow(message);
});

test("channels are mixed to their mean, and clipped", () => {
  const mixed = mixToPcm16([Float32Array.of(1, 0.5, -1, 2), Float32Array.of(1, -0.5, -1, 2)]);
  expect(Array.from(mixed)).toEqual([32_767, 0, -32_768, 32_767]);
  expect(mixToPcm16([])).toHaveLength(0);
  expect(mixToPcm16([new Float32Array(61 * 16_000)])).toHaveLength(60 * 16_000);
});

test("silence follows, longer than any wait for the end of a turn", () => {
  const longer = withSilence(Int16Array.of(7));
  expect(longer[0]).toBe(7);
  expect(longer.length).toBeGreaterThan(3 * 16_000);
  expect(longer.subarray(1).every((sample) => sample === 0)).toBe(true);
});
