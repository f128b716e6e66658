import { BargeInVerdict, ServerMessageSchema } from "@ai-anchor/client";
import { describe, expect, test } from "vitest";
import { phaseOf } from "../src/phase";
import type { Conversation } from "../src/state";
import * as say from "./script";
import { after, following } from "./script";

const OPEN = { kind: "connection", connection: { state: "open" } } as const;
const ANSWERING = [
  OPEN,
  say.started(),
  { kind: "sound" } as const,
  say.committed(1, "hello"),
  say.replying(1),
  say.words(1, "Good evening."),
  say.sounds(1),
];

function texts(state: Conversation): string[] {
  return state.turns.map(({ userText }) => userText);
}

describe("the user's words", () => {
  test("are provisional until the turn is committed", () => {
    const speaking = after(say.partial(1, "how is"), say.partial(1, "how is the weather"));
    expect(speaking.turns).toMatchObject([{ userText: "how is the weather", provisional: true }]);
    const said = following(speaking, say.final(1, "How is the weather?"), say.committed(1, "How is the weather?"));
    expect(said.turns).toMatchObject([{ userText: "How is the weather?", provisional: false }]);
    expect(said.anchor).toBe("thinking");
  });

  test("are taken back when they were a cough or the anchor's own echo", () => {
    for (const verdict of [BargeInVerdict.COUGH, BargeInVerdict.ECHO]) {
      const state = after(...ANSWERING, say.partial(2, "evening"), say.settled({ turnId: 2, replyTurnId: 1, verdict }));
      expect(texts(state)).toEqual(["hello"]);
    }
  });

  test("stay when they were a listener's, but count no longer as unfinished", () => {
    const verdict = BargeInVerdict.BACKCHANNEL;
    const state = after(...ANSWERING, say.partial(2, "mhm"), say.settled({ turnId: 2, replyTurnId: 1, verdict }));
    expect(state.turns.at(-1)).toMatchObject({ userText: "mhm", provisional: false });
  });

  test("stay as they are when they stop the reply", () => {
    const verdict = BargeInVerdict.STOP_WORDS;
    const state = after(...ANSWERING, say.partial(2, "stop"), say.settled({ turnId: 2, replyTurnId: 1, verdict }));
    expect(state.turns.at(-1)).toMatchObject({ userText: "stop", provisional: true });
  });
});

describe("a reply", () => {
  test("is thought, spoken, held and finished", () => {
    expect(after(...ANSWERING).anchor).toBe("speaking");
    const held = after(...ANSWERING, { case: "playbackPause", value: { turnId: 1 } });
    expect(held.anchor).toBe("paused");
    expect(following(held, { case: "playbackResume", value: { turnId: 1 } }).anchor).toBe("speaking");
    const over = following(held, say.finished(1, { heardText: "Good", heardMs: 300, interrupted: true }));
    expect(over.anchor).toBe("idle");
    expect(over.turns[0]).toMatchObject({ heardText: "Good", interrupted: true, playedMs: 300 });
  });

  test("begins anew when the user went on before anything was heard", () => {
    const state = after(...ANSWERING, say.mark(1, 0, 4, 0), say.replying(1), say.words(1, "Well."));
    expect(state.turns[0]).toMatchObject({ replyText: "Well.", marks: [] });
  });

  test("knows when it began to sound on the page's clock, by its first report", () => {
    const state = after(...ANSWERING, say.heard(1, 100, 5100), say.heard(1, 200, 9999));
    expect(state.turns[0]).toMatchObject({ replyFromMs: 5000, playedMs: 200 });
  });

  test("that fails says so and leaves the anchor free", () => {
    const state = after(...ANSWERING, {
      case: "turnFailed",
      value: { turnId: 1, code: "llm.failed", message: "no answer came" },
    });
    expect(state).toMatchObject({ anchor: "idle", turns: [{ failure: "no answer came" }] });
  });
});

describe("the line", () => {
  test("when it drops, leaves nobody speaking and no word provisional", () => {
    const state = after(
      ...ANSWERING,
      say.partial(2, "and"),
      { kind: "held", held: true },
      {
        kind: "connection",
        connection: { state: "reconnecting", code: "", retryInMs: 300 },
      },
    );
    expect(state).toMatchObject({ user: "silent", anchor: "idle", held: false });
    expect(state.turns.every(({ provisional }) => !provisional)).toBe(true);
    expect(phaseOf(state, "open")).toBe("reconnecting");
  });

  test("when it comes back, goes on with the same turns", () => {
    const state = after(...ANSWERING, say.started(true), say.words(1, " Here is the news."));
    expect(state.turns).toHaveLength(1);
    expect(state.turns[0]?.replyText).toBe("Good evening. Here is the news.");
  });

  test("when the server has forgotten, keeps the old turns apart from new ones of the same number", () => {
    const state = after(...ANSWERING, say.started(false));
    expect(state.notice).toContain("forgotten");
    expect(texts(following(state, say.committed(1, "again")))).toEqual(["hello", "again"]);
  });

  test("keeps what was chosen when the conversation is begun anew, and nothing of what was said", () => {
    const state = after(...ANSWERING, { kind: "forgotten" }, say.committed(1, "first"));
    expect(texts(state)).toEqual(["first"]);
    expect(state.sound).toBe(true);
  });
});

describe("notices", () => {
  test("explain an error in plain words", () => {
    const state = after(say.failed("tts.unavailable", "peer failed: tts"));
    expect(state.notice).toBe("The voice is away at the moment. Answers come in text.");
  });

  test("say what they were given where there are no plainer words", () => {
    expect(after(say.failed("session.unknown_voice", "no voice x")).notice).toBe("no voice x");
  });

  test("tell a service that cannot do a thing from one that is away", () => {
    expect(after(say.failed("tts.unknown_voice", "no voice x")).notice).toBe("no voice x");
    expect(after(say.failed("stt.language_unsupported", "English only")).notice).toContain("does not understand");
  });

  test("go when the next turn is committed", () => {
    expect(after(say.failed("x.y", "something"), say.committed(1, "hello")).notice).toBe("");
  });

  test("leave degradations standing until the status says otherwise", () => {
    const degraded = [{ code: "memory.small_voice", message: "A smaller voice speaks." }];
    const state = after(say.status({ degraded }), say.committed(1, "hello"));
    expect(state.degraded).toMatchObject(degraded);
    expect(following(state, say.status({})).degraded).toEqual([]);
  });
});

describe("service notices", () => {
  const codes = ({ serviceNotices }: Conversation) => serviceNotices.map(({ code }) => code);

  test("last from active to no longer active, whatever turns go by", () => {
    const state = after(say.serviceNotice("stt.unavailable", true, "gone"), say.committed(1, "hello"));
    expect(state.serviceNotices).toMatchObject([{ code: "stt.unavailable", message: "gone" }]);
    expect(codes(following(state, say.serviceNotice("stt.unavailable", false, "stt works again")))).toEqual([]);
  });

  test("end one by one: the others stay", () => {
    const state = after(say.serviceNotice("stt.unavailable", true), say.serviceNotice("vad.unavailable", true));
    expect(codes(state)).toEqual(["stt.unavailable", "vad.unavailable"]);
    expect(codes(following(state, say.serviceNotice("vad.unavailable", false)))).toEqual(["stt.unavailable"]);
    expect(codes(following(state, say.serviceNotice("stt.unavailable", false)))).toEqual(["vad.unavailable"]);
  });

  test("keep one entry per code, with the newest message", () => {
    const state = after(say.serviceNotice("x.y", true, "first"), say.serviceNotice("x.y", true, "second"));
    expect(state.serviceNotices).toMatchObject([{ code: "x.y", message: "second" }]);
  });

  test("leave the rest unchanged when an unknown code ends", () => {
    const state = after(say.serviceNotice("stt.unavailable", true), say.serviceNotice("x.y", false));
    expect(codes(state)).toEqual(["stt.unavailable"]);
  });

  test("leave errors standing, and errors leave them standing", () => {
    const state = after(say.failed("x.y", "something"), say.serviceNotice("stt.unavailable", true));
    expect(following(state, say.serviceNotice("stt.unavailable", false)).notice).toBe("something");
    expect(codes(following(state, say.failed("x.z", "other")))).toEqual(["stt.unavailable"]);
  });

  test("are cleared when a session starts: the server repeats what still holds", () => {
    expect(codes(after(say.serviceNotice("stt.unavailable", true), say.started(true)))).toEqual([]);
  });
});

describe("settings", () => {
  test("follow the server's word, with the manner of speaking", () => {
    const state = after(say.started(), {
      case: "sessionUpdated",
      value: { language: "de", voice: "v", persona: "p", patience: 2, style: { pace: 1.5 } },
    });
    expect(state.settings).toMatchObject({ language: "de", voice: "v", persona: "p", patience: 2 });
    expect(state.settings?.style?.pace).toBe(1.5);
  });
});

test("a user whose turn is committed is no longer held to speak", () => {
  const speaking = after(OPEN, { kind: "microphone", microphone: "on" }, { case: "speechStarted", value: { atMs: 0 } });
  expect(phaseOf(following(speaking, say.committed(1, "hello")), "push")).toBe("thinking");
});

test("a page that stays open keeps no more than two hundred turns", () => {
  const state = after(...Array.from({ length: 230 }, (_, id) => say.committed(id, `turn ${id}`)));
  expect(state.turns).toHaveLength(200);
  expect(state.turns[0]?.userText).toBe("turn 30");
});

test("no message of the contract is without its case", () => {
  for (const { localName } of ServerMessageSchema.oneofs[0]?.fields ?? []) {
    expect(() => after({ case: localName, value: {} } as Parameters<typeof say.message>[0])).not.toThrow();
  }
});

describe("the phase", () => {
  test("is listening with an open microphone, ready with one that waits for the button", () => {
    const state = after(OPEN, { kind: "microphone", microphone: "on" });
    expect(phaseOf(state, "open")).toBe("listening");
    expect(phaseOf(state, "push")).toBe("idle");
    expect(phaseOf(following(state, { kind: "held", held: true }), "push")).toBe("hearing");
  });

  test("is that of the user when both speak", () => {
    const answering = after(...ANSWERING, { kind: "microphone", microphone: "on" });
    expect(phaseOf(answering, "open")).toBe("speaking");
    expect(phaseOf(following(answering, { case: "speechStarted", value: { atMs: 1 } }), "open")).toBe("hearing");
  });
});
