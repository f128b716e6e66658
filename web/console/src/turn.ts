/** One turn: the user's words, the reply, and how much of it was heard. */
import type { LatencyWaterfall, ReplySource, TurnEndPredicted } from "@ai-anchor/client";
import type { TurnSetting } from "./trial";

/** A `speech_mark`: the text from `textStart` to before `textEnd`, in code points, plays from `offsetMs` on. */
export interface Mark {
  textStart: number;
  textEnd: number;
  offsetMs: number;
}

export interface Turn {
  /** Unique on this page, as ids are not: they start again in a new conversation. */
  key: string;
  id: number;
  userText: string;
  /** Whether `userText` may still change. */
  provisional: boolean;
  /** On the page's clock, in milliseconds since the store was created; null while unknown. */
  userFromMs: number | null;
  userToMs: number | null;
  replyText: string;
  engine: string;
  /** The passages that the reply is taken from. */
  sources: readonly ReplySource[];
  marks: readonly Mark[];
  /** When the reply's first sound arrived, on the page's clock; null before. */
  soundArrivedMs: number | null;
  /** When the reply's first sample played, or its first text appeared, on the page's clock. */
  replyFromMs: number | null;
  /** How much of the reply's audio has been heard, in milliseconds; null before any was. */
  playedMs: number | null;
  /** The part of the reply that was heard; null until the reply has finished. */
  heardText: string | null;
  interrupted: boolean;
  failure: string;
  latency: LatencyWaterfall | null;
  /** The end-of-turn wait from which the latency counts; null for a turn without one. */
  wait: TurnEndPredicted | null;
  /** The setting in force when the turn was committed; null before. */
  setting: TurnSetting | null;
}

export function newTurn(epoch: number, id: number): Turn {
  return {
    key: `${epoch}.${id}`,
    id,
    userText: "",
    provisional: false,
    userFromMs: null,
    userToMs: null,
    replyText: "",
    engine: "",
    sources: [],
    marks: [],
    soundArrivedMs: null,
    replyFromMs: null,
    playedMs: null,
    heardText: null,
    interrupted: false,
    failure: "",
    latency: null,
    wait: null,
    setting: null,
  };
}
