/** Two settings of turn-taking to try, A and B, whose turns are measured apart. */
import type { ClientMessage, SessionUpdated } from "@ai-anchor/client";

export type TrialSlot = "A" | "B";

export const TRIAL_SLOTS: readonly TrialSlot[] = ["A", "B"];

/** One setting. 0 stands for the server's default. */
export interface TrialValues {
  /** Factor of the end-of-turn wait. */
  patience: number;
  /** Length of speech over a reply that stops it, in milliseconds. */
  stopMs: number;
  /** The fewest words that stop it. */
  minWords: number;
}

export interface Trial {
  /** The slot in force. */
  slot: TrialSlot;
  /** The values of the other slot; null until it was in force once. */
  other: TrialValues | null;
}

export const INITIAL_TRIAL: Trial = { slot: "A", other: null };

/** What a turn was measured under. */
export interface TurnSetting extends TrialValues {
  slot: TrialSlot;
}

/** What the controls offer; the server refuses values beyond their ends. */
export const PATIENCE_CHOICES: readonly number[] = [0.5, 0.75, 1, 1.25, 1.5, 2];
export const STOP_MS_CHOICES: readonly number[] = [0, 100, 200, 300, 500, 800, 1200, 2000, 3000];
export const MIN_WORDS_CHOICES: readonly number[] = [0, 1, 2, 3, 5];

/** The values that the session has now, from its settings as the server reported them. */
export function trialValues({ patience, bargeIn }: Pick<SessionUpdated, "patience" | "bargeIn">): TrialValues {
  return { patience, stopMs: bargeIn?.stopMs ?? 0, minWords: bargeIn?.minWords ?? 0 };
}

/** The trial after a change to the other slot, whose values begin as those of this one. */
export function switchSlot(trial: Trial, current: TrialValues): { trial: Trial; values: TrialValues } {
  const slot = trial.slot === "A" ? "B" : "A";
  return { trial: { slot, other: current }, values: trial.other ?? current };
}

/** The messages that make a session have these values. */
export function trialMessages({ patience, stopMs, minWords }: TrialValues): ClientMessage[] {
  return [
    ...(patience > 0 ? [{ case: "setPatience" as const, value: { patience } }] : []),
    {
      case: "setBargeIn",
      value: { ...(stopMs > 0 ? { stopMs } : {}), ...(minWords > 0 ? { minWords } : {}) },
    },
  ];
}
