/** One line that names the engines: which one transcribes, which ones speak, and what answers. */
import type { ServiceStatus } from "@ai-anchor/client";

const NAMES: Readonly<Record<string, string>> = {
  whisper: "Whisper",
  pocketsphinx: "PocketSphinx",
  espeak: "eSpeak",
  kokoro: "Kokoro",
};

/** The line; empty until speech to text and text to speech have reported their engines. */
export function machineLine(services: readonly ServiceStatus[]): string {
  const engine = (name: string) => services.find(({ service }) => service === name);
  const recogniser = engine("stt-service");
  const voice = engine("tts-service");
  const model = engine("language-model");
  if (!recogniser?.engine || !voice?.engine) return "";
  const answers = model ? `${model.model || model.engine} answers` : "your notes answer";
  return `${recogniserName(recogniser)} transcribes, ${voicesSpeak(voice.engine)}, ${answers}.`;
}

function recogniserName({ engine, model }: ServiceStatus): string {
  // The size is part of the model's name: `whisper-base`, `whisper-tiny.en`.
  return model.startsWith(`${engine}-`)
    ? `${engineName(engine)} ${model.slice(engine.length + 1)}`
    : engineName(engine);
}

/** Several engines, each for its languages, are named with a plus: `espeak+hibari`. eSpeak comes last. */
function voicesSpeak(engine: string): string {
  const names = engine.split("+").sort((one, other) => Number(one === "espeak") - Number(other === "espeak"));
  return names.length > 1
    ? `${names.slice(0, -1).map(engineName).join(", ")} and ${engineName(names.at(-1) ?? "")} speak`
    : `${engineName(engine)} speaks`;
}

/** The name of an engine as its makers write it. */
export function engineName(engine: string): string {
  return NAMES[engine] ?? engine;
}
