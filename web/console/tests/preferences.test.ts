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

test("invalid keys of shortcuts get their defaults, and the monitor is closed until it is asked for", () => {
  const stored = loadPreferences(storageWith('{"keys":{"pause":"x","write":"Tab"},"panel":true}'));
  expect(stored.keys).toEqual({ ...DEFAULT_PREFERENCES.keys, pause: "x" });
  expect(stored.monitor).toBe(false);
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
