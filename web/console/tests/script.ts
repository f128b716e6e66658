/** Scripts of a conversation: what the server said, as the reducer gets it. */
import {
  BargeInSettledSchema,
  ErrorSchema,
  FinalTranscriptSchema,
  LatencyWaterfallSchema,
  PartialTranscriptSchema,
  ReplyFinishedSchema,
  type ServerMessage,
  ServerMessageSchema,
  SystemStatusSchema,
} from "@ai-anchor/client";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ConversationEvent, reduce } from "../src/conversation";
import { type Conversation, INITIAL } from "../src/state";

type Said = Extract<NonNullable<MessageInitShape<typeof ServerMessageSchema>["message"]>, { case: string }>;

/** A message as it comes off the wire. */
export function message(said: Said): ServerMessage {
  const { message: whole } = create(ServerMessageSchema, { message: said });
  if (whole.case === undefined) throw new Error("a script may not hold an empty message");
  return whole;
}

/** What the page shows after `script`; messages come 10 ms apart. */
export function after(...script: (Said | ConversationEvent)[]): Conversation {
  return following(INITIAL, ...script);
}

export function following(state: Conversation, ...script: (Said | ConversationEvent)[]): Conversation {
  return script.reduce(
    (before, step, index) =>
      reduce(before, "kind" in step ? step : { kind: "message", message: message(step), atMs: index * 10 }),
    state,
  );
}

export const started = (resumed = false): Said => ({
  case: "sessionStarted",
  value: { sessionId: "s", ticket: "t", language: "en", persona: "anchor", patience: 1, resumed },
});
export const partial = (turnId: number, text: string): Said => ({
  case: "partialTranscript",
  value: create(PartialTranscriptSchema, { turnId, text }),
});
export const final = (turnId: number, text: string): Said => ({
  case: "finalTranscript",
  value: create(FinalTranscriptSchema, { turnId, text }),
});
export const committed = (turnId: number, text: string): Said => ({ case: "turnCommitted", value: { turnId, text } });
export const replying = (turnId: number, engine = "briefing"): Said => ({
  case: "replyStarted",
  value: { turnId, engine },
});
export const words = (turnId: number, text: string): Said => ({ case: "replyText", value: { turnId, text } });
export const sounds = (turnId: number): Said => ({ case: "replyAudio", value: { turnId, offsetMs: 0 } });
export const mark = (turnId: number, textStart: number, textEnd: number, offsetMs: number): Said => ({
  case: "speechMark",
  value: { turnId, textStart, textEnd, offsetMs },
});
export const finished = (turnId: number, fields: MessageInitShape<typeof ReplyFinishedSchema>): Said => ({
  case: "replyFinished",
  value: create(ReplyFinishedSchema, { turnId, ...fields }),
});
export const settled = (fields: MessageInitShape<typeof BargeInSettledSchema>): Said => ({
  case: "bargeInSettled",
  value: create(BargeInSettledSchema, fields),
});
export const failed = (code: string, text: string): Said => ({
  case: "error",
  value: create(ErrorSchema, { code, message: text }),
});
export const serviceNotice = (code: string, active: boolean, text = ""): Said => ({
  case: "serviceNotice",
  value: { code, active, message: text },
});
export const status = (fields: MessageInitShape<typeof SystemStatusSchema>): Said => ({
  case: "systemStatus",
  value: create(SystemStatusSchema, fields),
});
export const waterfall = (fields: MessageInitShape<typeof LatencyWaterfallSchema>) =>
  create(LatencyWaterfallSchema, fields);
export const heard = (turnId: number, playedMs: number, atMs = playedMs): ConversationEvent => ({
  kind: "heard",
  turnId,
  playedMs,
  atMs,
});
