/** Questions to begin with, from what the anchor knows. */
import type { Choices, SampleQuestions } from "@ai-anchor/client";
import { AUTOMATIC } from "./format";

// In which a conversation with an automatic language begins.
const FIRST_LANGUAGE = "en";

/** The questions in the language of the talk; undefined where the notes hold none, or do not answer. */
export function questionsIn(choices: Choices | null, language: string): SampleQuestions | undefined {
  const code = language === AUTOMATIC ? FIRST_LANGUAGE : language;
  return choices?.sampleQuestions.find((each) => each.language === code && each.questions.length > 0);
}
