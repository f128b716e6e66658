import { expect, test } from "vitest";
import { DEFAULT_PREFERENCES, loadPreferences, savePreferences } from "../src/preferences";

function storageWith(stored: string | null) {
  const values = { stored };
  return {
    getItem: () => values.stored,
    setItem: (_: string, value: string) => {
      values.stored = value;
    },
  };
}

test("saved preferences load again", () => {
  const storage = storageWith(null);
  savePreferences(storage, { ...DEFAULT_PREFERENCES, mode: "push", ticket: "t" });
  expect(loadPreferences(storage)).toEqual({ ...DEFAULT_PREFERENCES, mode: "push", ticket: "t" });
});

test("missing and invalid preferences get their defaults", () => {
  for (const stored of [
    null,
    "",
    "no json",
    "null",
    "[]",
    '{"mode":"shout","theme":"pink","patience":"1"}',
    '{"bargeInStopMs":99,"bargeInMinWords":-1}',
  ]) {
    expect(loadPreferences(storageWith(stored))).toEqual(DEFAULT_PREFERENCES);
  }
});
