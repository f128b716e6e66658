// @vitest-environment happy-dom
import { ChoicesSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { type Conversation, INITIAL_CONVERSATION } from "../../src/conversation_state";
import { Captions } from "../../src/view/Captions";
import * as script from "../script";
import { play, playFrom } from "../script";
import { rendered } from "./rendered";
import type { TalkMode } from "../../src/phase";

function captionsOf(conversation: Conversation, mode: TalkMode, sendText: (text: string) => boolean = () => false) {
  const preferences = { mode, captionSize: "normal", captionContrast: "normal" } as const;
  return <Captions store={{ send: () => false, sendText }} conversation={conversation} preferences={preferences} />;
}

test("captions separate heard text from interrupted text", () => {
  const state = play(
    script.turnCommitted(1, "hello"),
    script.replyStarted(1),
    script.replyText(1, "Good evening."),
    script.replyFinished(1, { heardText: "Good", heardMs: 300, interrupted: true }),
  );
  const page = rendered(captionsOf(state, "open"));
  expect(page.querySelector(".heard")?.textContent).toBe("Good");
  expect(page.querySelector("s")?.textContent).toBe(" evening.");
});

test("an earlier conversation stays, apart from the new one, with the reason", () => {
  const state = play(script.turnCommitted(1, "hello"), script.sessionStarted(false), script.turnCommitted(1, "again"));
  const page = rendered(captionsOf(state, "open"));
  const past = page.querySelector("[aria-label='Earlier conversation']");
  expect(past?.textContent).toMatch(/hello.*The server has forgotten this conversation/s);
  expect(page.querySelector(".captions > .turns")?.textContent).toContain("again");
  expect(page.querySelectorAll(".turn")).toHaveLength(2);
});

test("after a new conversation the first screen follows the turns of the one before", () => {
  const state = play(script.turnCommitted(1, "hello"), { kind: "reset" });
  const page = rendered(captionsOf(state, "open"));
  expect(page.querySelector(".past ~ .welcome")).not.toBeNull();
  expect(page.querySelector(".past")?.textContent).toMatch(/hello.*the conversation before/s);
});

test("a reply from passages names them and shows their text on request", () => {
  const answered = [script.turnCommitted(1, "when"), script.replyStarted(1)];
  const state = play(...answered, script.replySources(1, "the ferry", "the tides"), script.replyText(1, "At six."));
  const details = rendered(captionsOf(state, "open")).querySelector("details.sources");
  expect(details?.hasAttribute("open")).toBe(false);
  expect(details?.querySelector("summary")?.textContent).toBe("From: the ferry, the tides");
  const passages = Array.from(details?.querySelectorAll("blockquote") ?? []);
  expect(passages.map(({ lang, textContent }) => [lang, textContent])).toEqual([
    ["en", "About the ferry.the ferry.md"],
    ["en", "About the tides.the tides.md"],
  ]);
  const without = rendered(captionsOf(play(...answered, script.replyText(1, "No.")), "open"));
  expect(without.querySelector(".sources")).toBeNull();
});

test("the first screen says what the machine runs", () => {
  const engines = [
    { service: "stt-service", engine: "whisper", model: "whisper-base" },
    { service: "tts-service", engine: "hibari" },
  ];
  const page = rendered(captionsOf(play(script.systemStatus({ services: engines })), "open"));
  expect(page.querySelector(".welcome-machine")?.textContent).toMatch(/^Whisper base transcribes, hibari speaks/);
  const before = rendered(captionsOf(INITIAL_CONVERSATION, "open"));
  expect(before.querySelector(".welcome-machine")).toBeNull();
});

test.each([
  [undefined, "Nothing of the conversation is stored."],
  [1, "The conversation's text is stored on the server for a day, its sound never."],
  [30, "The conversation's text is stored on the server for 30 days, its sound never."],
])("the first screen says how long the conversation is stored: %s days", (retentionDays, line) => {
  const page = rendered(captionsOf(play(script.sessionStarted(false, retentionDays)), "open"));
  expect(page.querySelector(".welcome-kept")?.textContent).toBe(line);
  const before = rendered(captionsOf(INITIAL_CONVERSATION, "open"));
  expect(before.querySelector(".welcome-kept")).toBeNull();
});

test("before the first turn the instructions match the talk mode", () => {
  expect(rendered(captionsOf(INITIAL_CONVERSATION, "open")).textContent).toContain("Press the button and speak");
  expect(rendered(captionsOf(INITIAL_CONVERSATION, "push")).textContent).toContain("Hold the button");
});

const CHOICES = create(ChoicesSchema, {
  languages: ["auto", "en", "de"],
  voices: [{ id: "v", name: "V", languages: ["en", "de"], engine: "hibari" }],
  personas: [{ id: "anchor", name: "Nora", description: "Explains." }],
  sampleQuestions: [
    { language: "en", questions: ["Who bakes <b>bread</b>?", "How do I sleep?"] },
    { language: "de", questions: ["Regnet es?"] },
  ],
});

test("the first screen says who this is, and a click asks one of its questions", () => {
  const asked: string[] = [];
  const state = play(script.OPEN, script.sessionStarted(), { case: "choices", value: CHOICES });
  const ask = (question: string) => asked.push(question) > 0;
  const page = rendered(captionsOf(state, "open", ask));
  expect(page.querySelector(".welcome-line")?.textContent).toBe("Hello, I am Nora, a computer voice.");
  const questions = [...page.querySelectorAll<HTMLButtonElement>(".question")];
  expect(questions.map(({ textContent, lang }) => [textContent, lang])).toEqual([
    ["Who bakes <b>bread</b>?", "en"],
    ["How do I sleep?", "en"],
  ]);
  questions[1]?.click();
  expect(asked).toEqual(["How do I sleep?"]);
  const offline = playFrom(state, { kind: "connection", connection: { state: "closed", code: "" } });
  const closed = rendered(captionsOf(offline, "open", ask));
  expect(closed.querySelector<HTMLButtonElement>(".question")?.disabled).toBe(true);
});
