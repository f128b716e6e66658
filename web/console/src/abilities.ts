/** What the engines of this machine understand, speak and answer from, in plain words. */
import type { Choices, ServiceStatus } from "@ai-anchor/client";
import type { Conversation } from "./conversation_state";
import { AUTOMATIC, formatLanguage } from "./format";

// Recognisers that stand in where no better one is installed.
const SMALL_RECOGNISERS: readonly string[] = ["pocketsphinx"];
const SMALL_HINT = "The speech recogniser here is a small one: short, clear questions work best.";
// The engine that answers with passages of the notes, in a language model's words.
const LOCAL_MODEL = "local";

/** Languages that speech to text understands; null while that is unknown, and for an engine without a list. */
export function understoodLanguages(services: readonly ServiceStatus[]): readonly string[] | null {
  const languages = serviceNamed(services, "stt-service")?.languages ?? [];
  return languages.length > 0 ? languages : null;
}

/** Whether speech in a language is understood here; true while that is unknown. */
export function isUnderstood(services: readonly ServiceStatus[], language: string): boolean {
  return language === AUTOMATIC || (understoodLanguages(services)?.includes(language) ?? true);
}

/** Why the microphone stays closed in the language of this talk; empty where speech is understood. */
export function talkRefusal({ services, settings }: Pick<Conversation, "services" | "settings">): string {
  if (!settings || isUnderstood(services, settings.language)) return "";
  const understood = understoodLanguages(services) ?? [];
  return (
    `${formatLanguage(settings.language)} works in writing only: speech is understood here in ${languageList(understood)}. ` +
    "Write, or choose another language."
  );
}

/** Who this is, and what it can do here; empty until the engines and the voices are known. */
export function abilityLine(name: string, services: readonly ServiceStatus[], choices: Choices | null): string {
  const languages = choices?.languages.filter((language) => language !== AUTOMATIC) ?? [];
  const understood = understoodLanguages(services);
  const spoken = languages.filter((language) => choices?.voices.some((voice) => voice.languages.includes(language)));
  if (!understood || spoken.length === 0) return "";
  const heard = languages.filter((language) => understood.includes(language));
  const line =
    heard.join() === spoken.join()
      ? `${name} understands and speaks ${languageList(heard)}`
      : `${name} understands spoken ${languageList(heard)}, speaks ${languageList(spoken)}`;
  const recogniser = serviceNamed(services, "stt-service")?.engine ?? "";
  const hint = SMALL_RECOGNISERS.includes(recogniser) ? ` ${SMALL_HINT}` : "";
  return `${line}, and ${answersFrom(services)}.${hint}`;
}

function answersFrom(services: readonly ServiceStatus[]): string {
  const model = serviceNamed(services, "language-model");
  return model && model.engine !== LOCAL_MODEL
    ? "answers with a language model"
    : "answers from the notes on this server";
}

function serviceNamed(services: readonly ServiceStatus[], name: string): ServiceStatus | undefined {
  return services.find(({ service }) => service === name);
}

/** In English, as the page is: up to three by name, more by number. */
function languageList(codes: readonly string[]): string {
  if (codes.length > 3) return `${codes.length} languages`;
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  return new Intl.ListFormat("en").format(codes.map((code) => names.of(code) ?? code));
}
