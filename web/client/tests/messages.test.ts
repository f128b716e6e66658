import { describe, expect, test } from "vitest";
import { decode, encode } from "../src/messages";

describe("what a client says", () => {
  test("is the fields of its kind, with the kind as type", () => {
    expect(JSON.parse(encode({ case: "textInput", value: { text: "hello" } }))).toEqual({
      type: "text_input",
      text: "hello",
    });
  });

  test("keeps the names of the contract", () => {
    const start = encode({
      case: "sessionStart",
      value: { sampleRateHz: 16000, reportsPlayback: true, patience: 1.5 },
    });
    expect(JSON.parse(start)).toEqual({
      type: "session_start",
      sample_rate_hz: 16000,
      reports_playback: true,
      patience: 1.5,
    });
  });
});

describe("what the server says", () => {
  test("is told apart by its kind", () => {
    const message = decode('{"type":"reply_audio","turn_id":3,"offset_ms":120}');
    expect(message?.case).toBe("replyAudio");
    expect(message?.value).toMatchObject({ turnId: 3, offsetMs: 120 });
  });

  test("may be of a newer kind, which is nothing to us", () => {
    expect(decode('{"type":"weather","wind":3}')).toBeNull();
  });

  test("may have fields of a newer server", () => {
    expect(decode('{"type":"speech_started","at_ms":5,"loud":true}')?.value).toMatchObject({ atMs: 5 });
  });

  test("is refused when it is no message", () => {
    expect(() => decode("nonsense")).toThrow(SyntaxError);
    expect(() => decode('{"type":"speech_started","at_ms":"soon"}')).toThrow(/at_ms/);
  });
});
