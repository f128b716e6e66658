/** One turn: the user's words, the reply, and how much of it was heard. */
import type { LatencyWaterfall, ReplySource, TurnEndPredicted } from "@ai-anchor/client";
import type { TurnSetting } from "./trial";

/** A `speech_mark`: the text from `textStart` to before `textEnd`, in code points, plays from `offsetMs` on. */
export interface Mark {
  textStart: number;
  textEnd: number;
  offsetMs: number;
}

/** From `fromMs` of a reply on, it plays `byMs` later than without pauses, in all. */
export interface PlaybackShift {
  fromMs: number;
  byMs: number;
}

/** Times are in milliseconds since 1970 on this machine's clock; null while unknown. */
export interface Turn {
  /** Unique on this page, as ids are not: they start again in a new conversation. */
  key: string;
  /** Number of the conversation on this page. */
  epoch: number;
  id: number;
  userText: string;
  /** Language of the user's words, ISO 639-1; empty while unknown. */
  userLanguage: string;
  /** Whether `userText` may still change. */
  provisional: boolean;
  userFromMs: number | null;
  userToMs: number | null;
  replyText: string;
  engine: string;
  /** Name of the persona that spoke the reply, its id, its voice and language; empty while unknown. */
  speaker: string;
  persona: string;
  voice: string;
  replyLanguage: string;
  /** The passages that the reply is taken from. */
  sources: readonly ReplySource[];
  marks: readonly Mark[];
  /** When the reply's first sound arrived; null before. */
  soundArrivedMs: number | null;
  /** When the reply's first sample played, or its first text appeared. */
  replyFromMs: number | null;
  replyToMs: number | null;
  shifts: readonly PlaybackShift[];
  /** How much of the reply's audio has been heard, in milliseconds; null before any was. */
  playedMs: number | null;
  /** The part of the reply that was heard; null until the reply has finished. */
  heardText: string | null;
  interrupted: boolean;
  failure: string;
  latency: LatencyWaterfall | null;
  /** Id of the turn with which the user corrected this one; null for none. */
  replacedBy: number | null;
  /** The end-of-turn wait from which the latency counts; null for a turn without one. */
  wait: TurnEndPredicted | null;
  /** The setting in force when the turn was committed; null before. */
  setting: TurnSetting | null;
}

export function newTurn(epoch: number, id: number): Turn {
  return {
    key: `${epoch}.${id}`,
    epoch,
    id,
    userText: "",
    userLanguage: "",
    provisional: false,
    userFromMs: null,
    userToMs: null,
    replyText: "",
    engine: "",
    speaker: "",
    persona: "",
    voice: "",
    replyLanguage: "",
    sources: [],
    marks: [],
    soundArrivedMs: null,
    replyFromMs: null,
    replyToMs: null,
    shifts: [],
    playedMs: null,
    heardText: null,
    interrupted: false,
    failure: "",
    latency: null,
    replacedBy: null,
    wait: null,
    setting: null,
  };
}

/** The heard part of a reply: of an interrupted one its beginning, of others all. */
export function heardReply(turn: Turn): string {
  return (turn.interrupted ? (turn.heardText ?? "") : turn.replyText).trim();
}

/** Whether a turn belongs to the conversation with this number on the page. */
export function isOfEpoch(turn: Turn, epoch: number): boolean {
  return turn.key === newTurn(epoch, turn.id).key;
}
