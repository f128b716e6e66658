/** The dials of the manner of speaking: their defaults, and which of them take effect here. */
import type { ServiceStatus, VoiceChoice } from "@ai-anchor/client";
import { engineName } from "./machine_line";

export type DialField = "pace" | "warmth" | "humour" | "energy";

export interface Dial {
  field: DialField;
  name: string;
  low: string;
  high: string;
  min: number;
  max: number;
  /** Has the same effect as a dial that was never moved. */
  defaultValue: number;
}

export const DIALS: readonly Dial[] = [
  { field: "pace", name: "Pace", low: "slow", high: "fast", min: 0.5, max: 2, defaultValue: 1 },
  { field: "warmth", name: "Warmth", low: "cool", high: "warm", min: 0, max: 1, defaultValue: 0.5 },
  { field: "humour", name: "Humour", low: "earnest", high: "playful", min: 0, max: 1, defaultValue: 0.5 },
  { field: "energy", name: "Energy", low: "calm", high: "lively", min: 0, max: 1, defaultValue: 0.5 },
];

// The steps of a dial are coarser; values travel as 32-bit floats.
const TOLERANCE = 0.01;

export function isDefault(value: number | undefined, defaultValue: number): boolean {
  return value === undefined || Math.abs(value - defaultValue) < TOLERANCE;
}

/** Which dials take effect here: in the voice, and in the words that a language model writes. */
export function mannerLine(voice: VoiceChoice | undefined, services: readonly ServiceStatus[]): string {
  if (!voice) return "";
  const followed = DIALS.filter(({ field }) => voice.styleFields.includes(field));
  const engine = voice.engine ? engineName(voice.engine) : "The voice";
  const inVoice =
    followed.length === DIALS.length
      ? `${engine} follows all four dials in its voice.`
      : followed.length === 0
        ? `${engine} follows none of these dials in its voice.`
        : `In its voice, ${engine} follows ${listOf(followed)} only.`;
  const writes = services.some(({ service, engine: name }) => service === "language-model" && name !== "local");
  const inWords = writes
    ? "The language model is told of warmth, humour and energy."
    : "The words of the notes stay as they are, whatever the dials say.";
  return `${inVoice} ${inWords}`;
}

function listOf(dials: readonly Dial[]): string {
  return new Intl.ListFormat("en").format(dials.map(({ name }) => name.toLowerCase()));
}
