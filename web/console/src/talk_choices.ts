/** Persona, voice and language of the talk: what may be chosen, and what a choice does. */
import type { Choices, ServiceStatus, VoiceChoice } from "@ai-anchor/client";
import { isUnderstood } from "./abilities";
import type { Conversation, Settings } from "./conversation_state";
import { AUTOMATIC, formatLanguage } from "./format";
import type { ConsoleStore } from "./store";

/** An option of a select; `lang` is the language of its name. */
export interface Option {
  value: string;
  name: string;
  lang?: string;
}

/** The languages; those that are not understood when spoken, or not spoken by any voice, say so. */
export function languageOptions({ languages, voices }: Choices, services: readonly ServiceStatus[]): Option[] {
  const isSpoken = (code: string) => voices.length === 0 || voices.some((voice) => voice.languages.includes(code));
  return languages.map((code) => {
    const limits = [
      ...(isUnderstood(services, code) ? [] : ["writing only"]),
      ...(code === AUTOMATIC || isSpoken(code) ? [] : ["no voice"]),
    ];
    return {
      value: code,
      name: [formatLanguage(code), ...limits].join(" · "),
      lang: code === AUTOMATIC ? "en" : code,
    };
  });
}

/** The voices of the chosen language, the default first. */
export function voiceOptions(choices: Choices, { language }: Settings): Option[] {
  const speaking = choices.voices.filter(({ languages }) => language === AUTOMATIC || languages.includes(language));
  return [
    { value: "", name: "Default" },
    ...speaking.map(({ id, name, engine, cloned }) => ({
      value: id,
      name: `${name || id} · ${engine}${cloned ? " · from a recording" : ""}`,
    })),
  ];
}

export function personaOptions({ personas }: Choices): Option[] {
  return personas.map(({ id, name }) => ({ value: id, name: name || id }));
}

/** The voice that speaks now; undefined while no voice of the language is known. */
export function speakingVoice({ choices, settings }: Conversation): VoiceChoice | undefined {
  if (!choices || !settings) return undefined;
  const language = talkLanguage(settings);
  const persona = choices.personas.find(({ id }) => id === settings.persona);
  const chosen = settings.voice || persona?.voices.find((each) => each.language === language)?.voice;
  const isChosen = ({ id }: VoiceChoice) => id === chosen || id.endsWith(`:${chosen ?? ""}`);
  return (
    (chosen ? choices.voices.find(isChosen) : undefined) ??
    choices.voices.find(({ languages }) => languages.includes(language))
  );
}

/** The language of the next reply, as far as it is known: of an automatic one, the first. */
export function talkLanguage({ language }: Pick<Settings, "language">): string {
  return language === AUTOMATIC ? "en" : language;
}

export function chooseLanguage(store: ConsoleStore, language: string): void {
  void store.updatePreferences({ language, voice: "" });
  // The voice may not speak the new language.
  store.send({ case: "setVoice", value: { voice: "" } });
  store.send({ case: "setLanguage", value: { language } });
}

export function chooseVoice(store: ConsoleStore, voice: string): void {
  void store.updatePreferences({ voice });
  store.send({ case: "setVoice", value: { voice } });
}

export function choosePersona(store: ConsoleStore, persona: string): void {
  void store.updatePreferences({ persona });
  store.send({ case: "setPersona", value: { persona } });
}
