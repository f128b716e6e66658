import { expect, test } from "vitest";
import { formatDuration, formatGibibytes, formatLanguage } from "../src/format";

test("durations use milliseconds below a second and seconds above", () => {
  const formatted = [0, 999, 1234, -5].map(formatDuration);
  expect(formatted).toEqual(["0 ms", "999 ms", "1.23 s", "-5 ms"]);
});

test("memory is given in gibibytes with one decimal", () => {
  expect(formatGibibytes(1536)).toBe("1.5 GiB");
});

test("each of the eight languages has its own name for itself", () => {
  expect(["en", "de", "fr", "es", "it", "pt", "nl", "pl"].map(formatLanguage)).toEqual([
    "English",
    "Deutsch",
    "Français",
    "Español",
    "Italiano",
    "Português",
    "Nederlands",
    "Polski",
  ]);
  expect(formatLanguage("not a language")).toBe("not a language");
  expect(formatLanguage("auto")).toBe("Automatic");
});
