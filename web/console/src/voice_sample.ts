/** A short sample of the voice that speaks. */
import type { Conversation } from "./conversation_state";
import { speakingVoice, talkLanguage } from "./talk_choices";

/** What is spoken: ISO 639-1 `language`, `voice` empty for the default of the language. */
export interface VoiceSample {
  voice: string;
  language: string;
  text: string;
}

const ENGLISH = "Hello, this is how I sound. What would you like to know?";
const SENTENCES: Readonly<Record<string, string>> = {
  en: ENGLISH,
  es: "Hola, así suena mi voz. ¿Qué le gustaría saber?",
  fr: "Bonjour, voici ma voix. Que voulez-vous savoir ?",
  pt: "Olá, esta é a minha voz. O que você gostaria de saber?",
  hi: "नमस्ते, मेरी आवाज़ ऐसी है। आप क्या जानना चाहेंगे?",
  de: "Hallo, so klinge ich. Was möchten Sie wissen?",
  nl: "Hallo, zo klink ik. Wat wilt u weten?",
  it: "Salve, questa è la mia voce. Che cosa vorrebbe sapere?",
};

/** The sample of the voice that speaks now; null while no voice of the language is known. */
export function voiceSample(conversation: Conversation): VoiceSample | null {
  const voice = speakingVoice(conversation);
  if (!voice || !conversation.settings) return null;
  const language = talkLanguage(conversation.settings);
  // A voice that was chosen while the language is automatic may speak others only.
  const spoken = voice.languages.includes(language) ? language : (voice.languages[0] ?? language);
  return { voice: voice.id, language: spoken, text: SENTENCES[spoken] ?? ENGLISH };
}
