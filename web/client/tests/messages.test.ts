import { describe, expect, test } from "vitest";
import { decode, encode } from "../src/messages";

describe("encode", () => {
  test("writes the fields and the message name as `type`", () => {
    expect(JSON.parse(encode({ case: "textInput", value: { text: "hello" } }))).toEqual({
      type: "text_input",
      text: "hello",
    });
  });

  test("uses the field names of the proto", () => {
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

  test("writes empty and zero fields that are set, and omits unset ones", () => {
    expect(JSON.parse(encode({ case: "setVoice", value: { voice: "" } }))).toEqual({ type: "set_voice", voice: "" });
    expect(JSON.parse(encode({ case: "setStyle", value: { warmth: 0 } }))).toEqual({ type: "set_style", warmth: 0 });
    expect(JSON.parse(encode({ case: "interrupt", value: {} }))).toEqual({ type: "interrupt" });
    const resumed = encode({ case: "sessionStart", value: { ticket: "a", received: { turnId: 1, offsetMs: 0 } } });
    expect(JSON.parse(resumed)).toEqual({ type: "session_start", ticket: "a", received: { turn_id: 1, offset_ms: 0 } });
  });
});

describe("decode", () => {
  test("discriminates messages by `case`", () => {
    const message = decode('{"type":"reply_audio","turn_id":3,"offset_ms":120}');
    expect(message?.case).toBe("replyAudio");
    expect(message?.value).toMatchObject({ turnId: 3, offsetMs: 120 });
  });

  test("returns null for a message type of a newer server", () => {
    expect(decode('{"type":"weather","wind":3}')).toBeNull();
  });

  test("reads a service notice that begins and one that ends", () => {
    const began = decode('{"type":"service_notice","code":"stt.unreachable","active":true,"message":"no connection"}');
    expect(began?.case).toBe("serviceNotice");
    expect(began?.value).toMatchObject({ code: "stt.unreachable", active: true, message: "no connection" });
    const ended = decode(
      '{"type":"service_notice","code":"stt.unreachable","active":false,"message":"stt works again"}',
    );
    expect(ended?.value).toMatchObject({ code: "stt.unreachable", active: false, message: "stt works again" });
  });

  test("reads the passages that a reply is taken from", () => {
    const source = { title: "the ferry", file: "news/ferry.md", text: "It sails at six.", language: "en" };
    const message = decode(JSON.stringify({ type: "reply_sources", turn_id: 2, sources: [source] }));
    expect(message?.case).toBe("replySources");
    expect(message?.value).toMatchObject({ turnId: 2, sources: [source] });
  });

  test("ignores fields of a newer server", () => {
    expect(decode('{"type":"speech_started","at_ms":5,"loud":true}')?.value).toMatchObject({ atMs: 5 });
  });

  test("throws on anything but a valid message", () => {
    expect(() => decode("nonsense")).toThrow(SyntaxError);
    expect(() => decode('{"type":"speech_started","at_ms":"soon"}')).toThrow(/at_ms/);
  });
});
