import { expect, test } from "vitest";
import { actionOf, DEFAULT_KEYS, isShortcutKey, keyName, validKeys, withKey } from "../src/shortcut_keys";

test.each([
  [undefined, DEFAULT_KEYS],
  ["p", DEFAULT_KEYS],
  [["p"], DEFAULT_KEYS],
  [{ pause: "x" }, { ...DEFAULT_KEYS, pause: "x" }],
  [{ pause: "Tab", write: 5, steal: "y" }, DEFAULT_KEYS],
  // Two actions of one key.
  [{ pause: "s" }, DEFAULT_KEYS],
  [{ pause: "S" }, DEFAULT_KEYS],
])("of the stored keys %j those that can be used are used", (stored, keys) => {
  expect(validKeys(stored)).toEqual(keys);
});

test.each([
  ["x", true],
  ["ü", true],
  ["й", true],
  [";", true],
  [" ", true],
  ["", false],
  ["X", false],
  ["xy", false],
  ["Enter", false],
  ["\n", false],
  ["\u202e", false],
])("%j can be a shortcut: %s", (key, can) => {
  expect(isShortcutKey(key)).toBe(can);
});

test("a key that is taken is exchanged", () => {
  const keys = withKey(DEFAULT_KEYS, "pause", "s");
  expect([keys.pause, keys.settings]).toEqual(["s", "p"]);
  expect(withKey(DEFAULT_KEYS, "pause", "p")).toEqual(DEFAULT_KEYS);
  expect(withKey(DEFAULT_KEYS, "pause", "X").pause).toBe("x");
  expect(validKeys(keys)).toEqual(keys);
});

test("a pressed key finds its action, also with Shift", () => {
  expect([actionOf(DEFAULT_KEYS, "S"), actionOf(DEFAULT_KEYS, " "), actionOf(DEFAULT_KEYS, "x")]).toEqual([
    "settings",
    "talk",
    undefined,
  ]);
  expect([keyName(" "), keyName("s"), keyName("?")]).toEqual(["Space", "S", "?"]);
});
