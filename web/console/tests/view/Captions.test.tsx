// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { INITIAL_CONVERSATION } from "../../src/conversation_state";
import { Captions } from "../../src/view/Captions";
import * as script from "../script";
import { play } from "../script";
import { rendered } from "./rendered";

test("captions separate heard text from interrupted text", () => {
  const state = play(
    script.turnCommitted(1, "hello"),
    script.replyStarted(1),
    script.replyText(1, "Good evening."),
    script.replyFinished(1, { heardText: "Good", heardMs: 300, interrupted: true }),
  );
  const page = rendered(<Captions conversation={state} mode="open" />);
  expect(page.querySelector(".heard")?.textContent).toBe("Good");
  expect(page.querySelector("s")?.textContent).toBe(" evening.");
});

test("the first screen says what the machine runs", () => {
  const engines = [
    { service: "stt-service", engine: "whisper", model: "whisper-base" },
    { service: "tts-service", engine: "hibari" },
  ];
  const page = rendered(<Captions conversation={play(script.systemStatus({ services: engines }))} mode="open" />);
  expect(page.querySelector(".welcome-machine")?.textContent).toMatch(/^Whisper base transcribes, hibari speaks/);
  const before = rendered(<Captions conversation={INITIAL_CONVERSATION} mode="open" />);
  expect(before.querySelector(".welcome-machine")).toBeNull();
});

test("before the first turn the instructions match the talk mode", () => {
  expect(rendered(<Captions conversation={INITIAL_CONVERSATION} mode="open" />).textContent).toContain(
    "Press the button and speak",
  );
  expect(rendered(<Captions conversation={INITIAL_CONVERSATION} mode="push" />).textContent).toContain(
    "Hold the button",
  );
});
