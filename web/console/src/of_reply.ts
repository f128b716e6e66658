/** What the messages about a reply change. */
import type { ServerMessage } from "@ai-anchor/client";
import { type Conversation, inTurn } from "./state";

type ReplyMessage = Extract<
  ServerMessage,
  {
    case:
      | "replyStarted"
      | "replyText"
      | "replyAudio"
      | "speechMark"
      | "playbackPause"
      | "playbackResume"
      | "playbackStop"
      | "replyFinished"
      | "turnFailed"
      | "latencyWaterfall";
  }
>;

export function ofReply(state: Conversation, message: ReplyMessage, atMs: number): Conversation {
  const { turnId } = message.value;
  switch (message.case) {
    case "replyStarted":
      return { ...inTurn(state, turnId, () => ({ ...UNSAID, engine: message.value.engine })), anchor: "thinking" };
    case "replyText":
      return inTurn(state, turnId, (turn) => ({
        replyText: turn.replyText + message.value.text,
        replyFromMs: turn.replyFromMs ?? atMs,
      }));
    case "replyAudio":
    case "playbackResume":
      return { ...state, anchor: "speaking" };
    case "speechMark": {
      const { textStart, textEnd, offsetMs } = message.value;
      return inTurn(state, turnId, (turn) => ({
        marks: [...turn.marks, { start: textStart, end: textEnd, offsetMs }],
      }));
    }
    case "playbackPause":
      return { ...state, anchor: "paused" };
    case "playbackStop":
      return { ...state, anchor: "idle" };
    case "replyFinished": {
      const { heardText, heardMs, interrupted } = message.value;
      return { ...inTurn(state, turnId, () => ({ heardText, interrupted, playedMs: heardMs })), anchor: "idle" };
    }
    case "turnFailed":
      return {
        ...inTurn(state, turnId, () => ({ failure: message.value.message, provisional: false })),
        anchor: "idle",
      };
    case "latencyWaterfall":
      return inTurn(state, turnId, () => ({ latency: message.value }));
  }
}

// A second start of the same reply takes back what was said of the first: nothing of that was heard.
const UNSAID = { replyText: "", marks: [], replyFromMs: null, playedMs: null, heardText: null, interrupted: false };
