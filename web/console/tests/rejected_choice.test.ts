import { expect, test } from "vitest";
import { DEFAULT_PREFERENCES } from "../src/preferences";
import { rejectedChoice } from "../src/rejected_choice";

test.each([
  ["session.unknown_voice", "voice"],
  ["session.unknown_persona", "persona"],
  ["session.unknown_language", "language"],
  ["session.unknown_ticket", null],
  ["session.already_open", null],
  ["", null],
])("%s names the choice %s", (code, choice) => {
  const preferences = { ...DEFAULT_PREFERENCES, voice: "gone", persona: "gone", language: "xx" };
  expect(rejectedChoice(code, preferences)).toBe(choice);
  // Nothing was chosen: it is not this page's choice that is refused, and the next attempt would be refused, too.
  expect(rejectedChoice(code, DEFAULT_PREFERENCES)).toBeNull();
});
