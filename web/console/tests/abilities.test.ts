import { ChoicesSchema, ServiceStatusSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { abilityLine, isUnderstood, talkRefusal } from "../src/abilities";
import { languageOptions } from "../src/talk_choices";

const LANGUAGES = ["en", "es", "fr", "de"];
const stt = (engine: string, ...languages: string[]) =>
  create(ServiceStatusSchema, { service: "stt-service", engine, languages });
const model = (engine: string) => create(ServiceStatusSchema, { service: "language-model", engine });
const choices = (...spoken: string[]) =>
  create(ChoicesSchema, {
    languages: ["auto", ...LANGUAGES],
    voices: spoken.length > 0 ? [{ id: "v", name: "V", languages: spoken, engine: "espeak" }] : [],
  });
const settings = (language: string) => ({ language, voice: "", persona: "anchor", patience: 1, style: undefined });

test.each([
  [
    [stt("whisper", ...LANGUAGES)],
    LANGUAGES,
    "Nora understands and speaks 4 languages, and answers from the notes on this server.",
  ],
  [
    [stt("pocketsphinx", "en")],
    LANGUAGES,
    "Nora understands spoken English, speaks 4 languages, and answers from the notes on this server. " +
      "The speech recogniser here is a small one: short, clear questions work best.",
  ],
  [
    [stt("whisper", "en", "de"), model("ollama")],
    ["en"],
    "Nora understands spoken English and German, speaks English, and answers with a language model.",
  ],
  [
    [stt("whisper", "en"), model("local")],
    ["en"],
    "Nora understands and speaks English, and answers from the notes on this server.",
  ],
  [[stt("whisper")], LANGUAGES, ""],
  [[], LANGUAGES, ""],
  [[stt("whisper", "en")], [], ""],
])("the first screen says in one line what the engines can do: %#", (services, spoken, line) => {
  expect(abilityLine("Nora", services, choices(...spoken))).toBe(line);
});

test.each([
  [[stt("pocketsphinx", "en")], "de", false],
  [[stt("pocketsphinx", "en")], "en", true],
  [[stt("pocketsphinx", "en")], "auto", true],
  // Not known yet, or an engine without a list.
  [[stt("scripted")], "de", true],
  [[], "de", true],
])("speech is understood where speech to text lists the language: %#", (services, language, is) => {
  expect(isUnderstood(services, language)).toBe(is);
  expect(talkRefusal({ services, settings: settings(language) })).toMatch(is ? /^$/ : /^Deutsch works in writing only/);
});

test("languages that cannot be heard or spoken are marked where they are chosen", () => {
  const names = languageOptions(choices("en", "es"), [stt("pocketsphinx", "en")]).map(({ name }) => name);
  expect(names).toEqual(["Automatic", "English", "Español · writing only", ...names.slice(3)]);
  expect(names.at(-1)).toBe("Deutsch · writing only · no voice");
  expect(languageOptions(choices(), []).at(-1)).toEqual({ value: "de", name: "Deutsch", lang: "de" });
});
