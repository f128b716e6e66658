import { ChoicesSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { INITIAL_CONVERSATION } from "../src/conversation_state";
import { questionsIn } from "../src/sample_questions";
import { speakingVoice, voiceOptions } from "../src/talk_choices";
import { voiceSample } from "../src/voice_sample";

const CHOICES = create(ChoicesSchema, {
  languages: ["auto", "en", "de"],
  voices: [
    { id: "hibari:heart", name: "Heart", languages: ["en"], engine: "hibari" },
    { id: "espeak:de", name: "Hans", languages: ["de", "en"], engine: "espeak" },
  ],
  personas: [
    { id: "anchor", name: "Nora" },
    { id: "night", name: "Iris", voices: [{ language: "en", voice: "de" }] },
  ],
  sampleQuestions: [
    { language: "en", questions: ["Who bakes?"] },
    { language: "de", questions: [] },
  ],
});
const talk = (language: string, voice = "", persona = "anchor") => ({
  ...INITIAL_CONVERSATION,
  choices: CHOICES,
  settings: { language, voice, persona, patience: 1, style: undefined },
});

test.each([
  ["en", "", "anchor", "hibari:heart"],
  ["auto", "", "anchor", "hibari:heart"],
  ["de", "", "anchor", "espeak:de"],
  ["en", "espeak:de", "anchor", "espeak:de"],
  // The persona's own voice, named without its engine.
  ["en", "", "night", "espeak:de"],
  ["fr", "", "anchor", undefined],
])("in %s, with voice '%s' and persona %s, %s speaks", (language, voice, persona, id) => {
  expect(speakingVoice(talk(language, voice, persona))?.id).toBe(id);
});

test("the sample is spoken by the voice that speaks, in its language", () => {
  expect(voiceSample(talk("de"))).toMatchObject({
    voice: "espeak:de",
    language: "de",
    text: expect.stringMatching(/^Hallo/) as string,
  });
  expect(voiceSample(talk("auto"))).toMatchObject({ voice: "hibari:heart", language: "en" });
  expect(voiceSample(talk("auto", "espeak:de"))).toMatchObject({ voice: "espeak:de", language: "en" });
  expect(voiceSample(talk("fr"))).toBeNull();
  expect(voiceSample(INITIAL_CONVERSATION)).toBeNull();
});

test("only voices of the language are offered", () => {
  const offered = (language: string) => voiceOptions(CHOICES, talk(language).settings).map(({ value }) => value);
  expect(offered("de")).toEqual(["", "espeak:de"]);
  expect(offered("auto")).toEqual(["", "hibari:heart", "espeak:de"]);
});

test("the questions to begin with are in the language of the talk", () => {
  expect(questionsIn(CHOICES, "en")?.questions).toEqual(["Who bakes?"]);
  expect(questionsIn(CHOICES, "auto")?.questions).toEqual(["Who bakes?"]);
  expect(questionsIn(CHOICES, "de")).toBeUndefined();
  expect(questionsIn(null, "en")).toBeUndefined();
});
