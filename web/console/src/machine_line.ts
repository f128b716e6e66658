/** One line about what the anchor's machine runs, and what a GPU would add. */
import type { GpuStatus, ServiceStatus } from "@ai-anchor/client";

const NAMES: Readonly<Record<string, string>> = {
  whisper: "Whisper",
  pocketsphinx: "PocketSphinx",
  espeak: "eSpeak",
};
const WITH_A_GPU = "A GPU would add a larger language model and more expressive voices.";

/** The line; empty until speech to text and text to speech have reported their engines. */
export function machineLine(services: readonly ServiceStatus[], gpu: GpuStatus | null): string {
  const engine = (name: string) => services.find(({ service }) => service === name);
  const ears = engine("stt-service");
  const voice = engine("tts-service");
  const model = engine("language-model");
  if (!ears?.engine || !voice?.engine) return "";
  const answers = model ? model.model || model.engine : "answers from the notes";
  const runs = `This machine: ${earsName(ears)}, ${voiceName(voice.engine)}, ${answers}.`;
  return gpu?.present ? runs : `${runs} ${WITH_A_GPU}`;
}

function earsName({ engine, model }: ServiceStatus): string {
  // The size is part of the model's name: `whisper-base`, `whisper-tiny.en`.
  return model.startsWith(`${engine}-`) ? `${nameOf(engine)} ${model.slice(engine.length + 1)}` : nameOf(engine);
}

/** Several engines, each for its languages, are named with a plus: `espeak+hibari`. The plainest comes last. */
function voiceName(engine: string): string {
  const names = engine.split("+").sort((one, other) => Number(one === "espeak") - Number(other === "espeak"));
  return names.length > 1 ? `${names.map(nameOf).join(" and ")} voices` : `${nameOf(engine)} voice`;
}

function nameOf(engine: string): string {
  return NAMES[engine] ?? engine;
}
