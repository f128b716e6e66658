/** One exchange: what the user said, what the anchor answered, and how much of that was heard. */
import type { LatencyWaterfall } from "@ai-anchor/client";

/** From character `start` to before `end` of the reply, in code points, sounds from `offsetMs` of its audio on. */
export interface Mark {
  start: number;
  end: number;
  offsetMs: number;
}

export interface Turn {
  /** Unique on this page; the server counts turns anew in a new conversation. */
  key: string;
  id: number;
  userText: string;
  /** Whether the user's words may still change. */
  provisional: boolean;
  /** On the page's clock, in milliseconds since the conversation began here; null while not known. */
  userFromMs: number | null;
  userToMs: number | null;
  replyText: string;
  engine: string;
  marks: readonly Mark[];
  /** On the page's clock: when the reply's first sample sounded, or its first word was shown. */
  replyFromMs: number | null;
  /** How much of the reply's audio has been heard; null while nothing has. */
  playedMs: number | null;
  /** What was heard in the end; null while the reply lasts. */
  heardText: string | null;
  interrupted: boolean;
  failure: string;
  latency: LatencyWaterfall | null;
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
    marks: [],
    replyFromMs: null,
    playedMs: null,
    heardText: null,
    interrupted: false,
    failure: "",
    latency: null,
  };
}
