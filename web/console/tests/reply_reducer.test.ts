import { expect, test } from "vitest";
import * as script from "./script";
import { play, playFrom, SPEAKING } from "./script";

test("a reply speaks, pauses, resumes and finishes", () => {
  expect(play(...SPEAKING).anchor).toBe("speaking");
  const paused = play(...SPEAKING, { case: "playbackPause", value: { turnId: 1 } });
  expect(paused.anchor).toBe("paused");
  expect(playFrom(paused, { case: "playbackResume", value: { turnId: 1 } }).anchor).toBe("speaking");
  const finished = playFrom(paused, script.replyFinished(1, { heardText: "Good", heardMs: 300, interrupted: true }));
  expect(finished.anchor).toBe("idle");
  expect(finished.turns[0]).toMatchObject({ heardText: "Good", interrupted: true, playedMs: 300 });
});

test("a reply starts over when the server starts it again", () => {
  const state = play(...SPEAKING, script.speechMark(1, 0, 4, 0), script.replyStarted(1), script.replyText(1, "Well."));
  expect(state.turns[0]).toMatchObject({ replyText: "Well.", marks: [] });
});

test("a voice that speaks again is no longer reported as away", () => {
  const mute = play(script.replyStarted(1), script.error("tts.unavailable", "captions only: gone"));
  expect(mute.notice).toContain("voice is not available");
  const late = play(script.replyStarted(1), script.error("tts.late", "nothing for 1.8 s; waiting"));
  expect(late.notice).toContain("takes longer than usual");
  expect(play(script.replyStarted(1), script.error("tts.late", "waiting"), script.replyAudio(1)).notice).toBe("");
  for (const sound of [script.replyAudio(1), script.speechMark(1, 0, 4, 0)]) {
    expect(playFrom(mute, sound).notice).toBe("");
  }
  const other = play(script.replyStarted(1), script.error("session.unknown_voice", "no voice x"), script.replyAudio(1));
  expect(other.notice).toBe("no voice x");
});

test("the sources of a reply are kept until it starts over", () => {
  const sourced = play(...SPEAKING, script.replySources(1, "ferry"), script.replyText(1, " Well."));
  expect(sourced.turns[0]?.sources).toMatchObject([{ title: "ferry", file: "ferry.md", text: "About ferry." }]);
  expect(playFrom(sourced, script.replySources(1, "roses")).turns[0]?.sources).toMatchObject([{ title: "roses" }]);
  expect(playFrom(sourced, script.replyStarted(1)).turns[0]?.sources).toEqual([]);
});

test("the first playback report sets when the reply began on the page's clock", () => {
  const state = play(...SPEAKING, script.playback(1, 100, 5100), script.playback(1, 200, 9999));
  expect(state.turns[0]).toMatchObject({ replyFromMs: 5000, playedMs: 200 });
});

test("a failed reply shows its message and leaves the anchor idle", () => {
  const state = play(...SPEAKING, {
    case: "turnFailed",
    value: { turnId: 1, code: "llm.failed", message: "no answer came" },
  });
  expect(state).toMatchObject({ anchor: "idle", turns: [{ failure: "no answer came" }] });
});

test("a wait explains the turn whose silence it is about, also when the same figures come again", () => {
  const figures = {
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId: 1, speechEndMs: 900 }),
  };
  const explained = play(script.turnEndPredicted(900, 690), ...SPEAKING, figures);
  expect(explained.turns[0]?.wait?.waitMs).toBe(690);
  const later = playFrom(explained, script.turnEndPredicted(4000, 300), figures);
  expect(later.turns[0]?.wait?.waitMs).toBe(690);
  expect(play(script.turnEndPredicted(400, 690), ...SPEAKING, figures).turns[0]?.wait).toBeNull();
});

test("a reply that starts over has no figures until they come again", () => {
  const figures = {
    case: "latencyWaterfall" as const,
    value: script.latencyWaterfall({ turnId: 1, speechEndMs: 900 }),
  };
  const state = play(script.turnEndPredicted(900, 690), ...SPEAKING, figures, script.replyStarted(1));
  expect(state.turns[0]).toMatchObject({ latency: null, wait: null });
});
