import { describe, expect, test } from "vitest";
import type { Conversation } from "../src/conversation_state";
import { pastConversations } from "../src/past_conversations";
import * as script from "./script";
import { play, playFrom, SPEAKING, userTexts } from "./script";

describe("session_started", () => {
  test("continues the same turns when the session resumes", () => {
    const state = play(...SPEAKING, script.sessionStarted(true), script.replyText(1, " Here is the news."));
    expect(state.turns).toHaveLength(1);
    expect(state.turns[0]?.replyText).toBe("Good evening. Here is the news.");
  });

  test("of another session ends the replies that were sounding", () => {
    const restarted = script.sessionStarted(true);
    const state = play(...SPEAKING, {
      ...restarted,
      value: { ...restarted.value, sessionId: "other" },
    } as typeof restarted);
    expect(state.turns[0]).toMatchObject({ heardText: "", interrupted: true });
    expect(pastConversations(state)).toEqual([]);
  });

  test("separates old turns from new ones of the same id when the server starts over", () => {
    const state = play(...SPEAKING, script.sessionStarted(false));
    expect(state.notice).toContain("forgotten");
    expect(userTexts(playFrom(state, script.turnCommitted(1, "again")))).toEqual(["hello", "again"]);
    expect(pastConversations(state)).toMatchObject([{ ending: "forgotten", turns: [{ userText: "hello" }] }]);
    // Nothing of it sounds any more.
    expect(state.turns[0]).toMatchObject({ heardText: "", interrupted: true });
  });
});

describe("service_notice", () => {
  const codes = ({ serviceNotices }: Conversation) => serviceNotices.map(({ code }) => code);

  test("lasts until the same code ends, across turns", () => {
    const state = play(script.serviceNotice("stt.unavailable", true, "gone"), script.turnCommitted(1, "hello"));
    expect(state.serviceNotices).toMatchObject([{ code: "stt.unavailable", message: "gone" }]);
    expect(codes(playFrom(state, script.serviceNotice("stt.unavailable", false, "stt works again")))).toEqual([]);
  });

  test("ends alone: other notices stay", () => {
    const state = play(script.serviceNotice("stt.unavailable", true), script.serviceNotice("vad.unavailable", true));
    expect(codes(state)).toEqual(["stt.unavailable", "vad.unavailable"]);
    expect(codes(playFrom(state, script.serviceNotice("vad.unavailable", false)))).toEqual(["stt.unavailable"]);
    expect(codes(playFrom(state, script.serviceNotice("stt.unavailable", false)))).toEqual(["vad.unavailable"]);
  });

  test("replaces an active notice of the same code", () => {
    const state = play(script.serviceNotice("x.y", true, "first"), script.serviceNotice("x.y", true, "second"));
    expect(state.serviceNotices).toMatchObject([{ code: "x.y", message: "second" }]);
  });

  test("changes nothing when an unknown code ends", () => {
    const state = play(script.serviceNotice("stt.unavailable", true), script.serviceNotice("x.y", false));
    expect(codes(state)).toEqual(["stt.unavailable"]);
  });

  test("and error do not replace each other", () => {
    const state = play(script.error("x.y", "something"), script.serviceNotice("stt.unavailable", true));
    expect(playFrom(state, script.serviceNotice("stt.unavailable", false)).notice).toBe("something");
    expect(codes(playFrom(state, script.error("x.z", "other")))).toEqual(["stt.unavailable"]);
  });

  test("is cleared when a session starts, since its end may have been lost", () => {
    expect(codes(play(script.serviceNotice("stt.unavailable", true), script.sessionStarted(true)))).toEqual([]);
  });
});

test("an error shows its text", () => {
  expect(play(script.error("session.unknown_voice", "no voice x")).notice).toBe("no voice x");
  expect(play(script.error("tts.unavailable", "peer failed: tts")).notice).toContain("The voice is not available");
});

test("degradations last until the system status omits them", () => {
  const degraded = [{ code: "memory.small_voice", message: "A smaller voice speaks." }];
  const state = play(script.systemStatus({ degraded }), script.turnCommitted(1, "hello"));
  expect(state.degraded).toMatchObject(degraded);
  expect(playFrom(state, script.systemStatus({})).degraded).toEqual([]);
});

test("settings follow the server, including the manner of speaking", () => {
  const state = play(script.sessionStarted(), {
    case: "sessionUpdated",
    value: { language: "de", voice: "v", persona: "p", patience: 2, style: { pace: 1.5 } },
  });
  expect(state.settings).toMatchObject({ language: "de", voice: "v", persona: "p", patience: 2 });
  expect(state.settings?.style?.pace).toBe(1.5);
});
