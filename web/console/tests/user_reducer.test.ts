import { BargeInVerdict } from "@ai-anchor/client";
import { expect, test } from "vitest";
import { phaseOf } from "../src/phase";
import * as script from "./script";
import { OPEN, play, playFrom, SPEAKING, userTexts } from "./script";

test("the user's words are provisional until the turn is committed", () => {
  const speaking = play(script.partialTranscript(1, "how is"), script.partialTranscript(1, "how is the weather"));
  expect(speaking.turns).toMatchObject([{ userText: "how is the weather", provisional: true }]);
  const committed = playFrom(
    speaking,
    script.finalTranscript(1, "How is the weather?"),
    script.turnCommitted(1, "How is the weather?"),
  );
  expect(committed.turns).toMatchObject([{ userText: "How is the weather?", provisional: false }]);
  expect(committed.anchor).toBe("thinking");
});

test("a cough and the anchor's own echo are removed", () => {
  for (const verdict of [BargeInVerdict.COUGH, BargeInVerdict.ECHO]) {
    const state = play(
      ...SPEAKING,
      script.partialTranscript(2, "evening"),
      script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict }),
    );
    expect(userTexts(state)).toEqual(["hello"]);
  }
});

test("a backchannel stays and is no longer provisional", () => {
  const verdict = BargeInVerdict.BACKCHANNEL;
  const state = play(
    ...SPEAKING,
    script.partialTranscript(2, "mhm"),
    script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict }),
  );
  expect(state.turns.at(-1)).toMatchObject({ userText: "mhm", provisional: false });
});

test("a continuation joins the turn of the reply, which is withdrawn", () => {
  const verdict = BargeInVerdict.CONTINUATION;
  const state = play(
    ...SPEAKING,
    script.partialTranscript(2, "again"),
    script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict }),
    script.partialTranscript(1, "hello again"),
  );
  expect(state.turns).toMatchObject([{ userText: "hello again", provisional: true, replyText: "", heardText: null }]);
});

test("words that stop the reply stay provisional", () => {
  const verdict = BargeInVerdict.STOP_WORDS;
  const state = play(
    ...SPEAKING,
    script.partialTranscript(2, "stop"),
    script.bargeInSettled({ turnId: 2, replyTurnId: 1, verdict }),
  );
  expect(state.turns.at(-1)).toMatchObject({ userText: "stop", provisional: true });
});

test("a committed turn ends the user's speech", () => {
  const speaking = play(OPEN, { kind: "microphone", microphone: "on" }, { case: "speechStarted", value: { atMs: 0 } });
  expect(phaseOf(playFrom(speaking, script.turnCommitted(1, "hello")), "open")).toBe("thinking");
});

test("a committed turn clears the last error", () => {
  expect(play(script.error("stt.late", "waiting"), script.turnCommitted(1, "hello")).notice).toBe("");
  // What no turn settles stays until it is closed.
  expect(play(script.error("x.y", "something"), script.turnCommitted(1, "hello")).notice).toBe("something");
});
