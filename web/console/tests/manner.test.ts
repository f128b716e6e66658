import { ServiceStatusSchema, VoiceChoiceSchema } from "@ai-anchor/client";
import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { isDefault, mannerLine } from "../src/manner";

const voice = (...styleFields: string[]) => create(VoiceChoiceSchema, { id: "v", engine: "hibari", styleFields });
const model = (engine: string) => [create(ServiceStatusSchema, { service: "language-model", engine })];

test.each([
  [["pace"], "In its voice, hibari follows pace only."],
  [["pace", "warmth", "energy"], "In its voice, hibari follows pace, warmth, and energy only."],
  [["pace", "warmth", "humour", "energy"], "hibari follows all four dials in its voice."],
  [[], "hibari follows none of these dials in its voice."],
  [["volume"], "hibari follows none of these dials in its voice."],
])("of a voice that follows %j the page says so", (fields, line) => {
  expect(mannerLine(voice(...fields), [])).toContain(line);
});

test("what the words follow depends on what writes them", () => {
  expect(mannerLine(voice("pace"), [])).toContain("The words of the notes stay as they are");
  expect(mannerLine(voice("pace"), model("local"))).toContain("The words of the notes stay as they are");
  expect(mannerLine(voice("pace"), model("ollama"))).toContain("The language model is told");
  expect(mannerLine(undefined, [])).toBe("");
});

test.each([
  [undefined, true],
  [0.5, true],
  [0.5000000298, true],
  [0.55, false],
])("a dial at %s is at its default: %s", (value, is) => {
  expect(isDefault(value, 0.5)).toBe(is);
});
