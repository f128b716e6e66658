/** Explains in plain words how long a silence was waited for before the turn counted as over, and why. */
import { type TurnEndPredicted, WaitDecision } from "@ai-anchor/client";
import { formatDuration } from "./format";

export interface WaitReason {
  /** At most 44 characters, for the chart. */
  short: string;
  /** Whole sentences, after the wait. */
  full: string;
  /** The same, while the silence lasts. */
  prospect: string;
}

export function waitReason(wait: TurnEndPredicted): WaitReason {
  const { short, cause } = decision(wait);
  const explained = `${formatDuration(wait.waitMs)} in silence: ${cause}.${patienceNote(wait.patience)}`;
  return { short, full: `Waited ${explained}`, prospect: `Waiting ${explained}` };
}

function decision(wait: TurnEndPredicted): { short: string; cause: string } {
  const likely = likelihood(wait);
  const waited = `waited ${formatDuration(wait.waitMs)}`;
  const about = `the sentence was ${likely} to be over${predictors(wait)}`;
  switch (wait.decidedBy) {
    case WaitDecision.PREDICTION:
      return { short: `${likely} over: ${waited}`, cause: about };
    case WaitDecision.FLOOR:
      return { short: `${likely} over: the shortest wait`, cause: `the shortest wait, as ${about}` };
    case WaitDecision.CEILING:
      return { short: `${likely} over: the longest wait`, cause: `the longest wait, as ${about}` };
    case WaitDecision.NO_JUDGEMENT:
      return {
        short: `no prediction in time: ${waited}`,
        cause: "no prediction came in time, so the usual wait applied",
      };
    case WaitDecision.HABIT:
      return {
        short: `you went on after pauses: ${waited}`,
        cause: `you went on after such pauses before, and ${about}`,
      };
    case WaitDecision.UNSPECIFIED:
      return { short: waited, cause: "the server gave no reason" };
    default:
      // A decision unknown to this version.
      return { short: waited, cause: "the server gave a reason that this page does not know" };
  }
}

function likelihood({ probability }: TurnEndPredicted): string {
  return probability === undefined ? "not known" : `${formatPercent(probability)} likely`;
}

function predictors({ predictor, opinions }: TurnEndPredicted): string {
  const parts = opinions.map(({ name, probability }) => `${name} ${formatPercent(probability)}`).join(", ");
  if (!predictor) return "";
  return parts ? ` (${predictor}: ${parts})` : ` (${predictor})`;
}

function patienceNote(patience: number): string {
  if (patience === 1 || patience === 0) return "";
  return ` Your patience of ${patience.toFixed(2).replace(/\.?0+$/, "")} is part of it.`;
}

function formatPercent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
