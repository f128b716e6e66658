import { expect, test } from "vitest";
import { ownName } from "../src/languages";
import { isElsewhere, microphoneAdvice, whyClosed } from "../src/plain_words";
import { DEFAULTS, remember, remembered } from "../src/preferences";

function storage(kept: string | null) {
  const values = { kept };
  return {
    getItem: () => values.kept,
    setItem: (_: string, value: string) => {
      values.kept = value;
    },
  };
}

test("what was chosen is remembered", () => {
  const memory = storage(null);
  remember(memory, { ...DEFAULTS, mode: "push", ticket: "t" });
  expect(remembered(memory)).toEqual({ ...DEFAULTS, mode: "push", ticket: "t" });
});

test("what is missing, of another kind or nobody's choice is as at first", () => {
  for (const kept of [null, "", "no json", "null", "[]", '{"mode":"shout","theme":"pink","patience":"1"}']) {
    expect(remembered(storage(kept))).toEqual(DEFAULTS);
  }
});

test("the eight languages have the names that their speakers give them", () => {
  expect(["en", "de", "fr", "es", "it", "pt", "nl", "pl"].map(ownName)).toEqual([
    "English",
    "Deutsch",
    "Français",
    "Español",
    "Italiano",
    "Português",
    "Nederlands",
    "Polski",
  ]);
  expect(ownName("not a language")).toBe("not a language");
});

test("a conversation that is open elsewhere is told from one that is over", () => {
  expect(isElsewhere("session.already_open")).toBe(true);
  expect(isElsewhere("session.taken_over")).toBe(true);
  expect(isElsewhere("session.closed_by_client")).toBe(false);
  expect(whyClosed("session.already_open")).toContain("another tab");
  expect(whyClosed("session.idle")).toBe("The session is over (session.idle).");
  expect(whyClosed("")).toBe("The session is over.");
});

test("a microphone that does not open is told with what to do", () => {
  const advice = (name: string) => microphoneAdvice(new DOMException("x", name));
  expect(advice("NotAllowedError")).toContain("Allow it");
  expect(advice("NotFoundError")).toContain("Plug one in");
  expect(advice("NotReadableError")).toContain("Another program");
  expect(microphoneAdvice(new TypeError("odd"))).toBe("There is no sound: odd");
});
