/** Scripted conversations: builders of server messages, and the state after a script. */
import {
  AdmissionSchema,
  BargeInSettledSchema,
  ErrorSchema,
  FinalTranscriptSchema,
  LatencyWaterfallSchema,
  PartialTranscriptSchema,
  ReplyFinishedSchema,
  type ServerMessage,
  ServerMessageSchema,
  SystemStatusSchema,
  TurnEndPredictedSchema,
} from "@ai-anchor/client";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ConversationEvent, conversationReducer } from "../src/conversation_reducer";
import { type Conversation, INITIAL_CONVERSATION } from "../src/conversation_state";

type ServerMessageInit = Extract<
  NonNullable<MessageInitShape<typeof ServerMessageSchema>["message"]>,
  { case: string }
>;

/** A complete message, as `decode` returns it. */
export function serverMessage(init: ServerMessageInit): ServerMessage {
  const { message } = create(ServerMessageSchema, { message: init });
  if (message.case === undefined) throw new Error("a script must not contain an empty message");
  return message;
}

/** The state after `script`, whose messages arrive 10 ms apart. */
export function play(...script: (ServerMessageInit | ConversationEvent)[]): Conversation {
  return playFrom(INITIAL_CONVERSATION, ...script);
}

/** The same, from `state` on. */
export function playFrom(state: Conversation, ...script: (ServerMessageInit | ConversationEvent)[]): Conversation {
  return script.reduce(
    (before, step, index) =>
      conversationReducer(
        before,
        "kind" in step ? step : { kind: "message", message: serverMessage(step), atMs: index * 10 },
      ),
    state,
  );
}

export const sessionStarted = (resumed = false, retentionDays?: number): ServerMessageInit => ({
  case: "sessionStarted",
  value: { sessionId: "s", ticket: "t", language: "en", persona: "anchor", patience: 1, resumed, retentionDays },
});
export const partialTranscript = (turnId: number, text: string): ServerMessageInit => ({
  case: "partialTranscript",
  value: create(PartialTranscriptSchema, { turnId, text }),
});
export const finalTranscript = (turnId: number, text: string): ServerMessageInit => ({
  case: "finalTranscript",
  value: create(FinalTranscriptSchema, { turnId, text }),
});
export const turnCommitted = (turnId: number, text: string): ServerMessageInit => ({
  case: "turnCommitted",
  value: { turnId, text },
});
export const replyStarted = (turnId: number, engine = "briefing"): ServerMessageInit => ({
  case: "replyStarted",
  value: { turnId, engine },
});
export const replyText = (turnId: number, text: string): ServerMessageInit => ({
  case: "replyText",
  value: { turnId, text },
});
export const replySources = (turnId: number, ...titles: string[]): ServerMessageInit => ({
  case: "replySources",
  value: {
    turnId,
    sources: titles.map((title) => ({ title, file: `${title}.md`, text: `About ${title}.`, language: "en" })),
  },
});
export const replyAudio = (turnId: number): ServerMessageInit => ({
  case: "replyAudio",
  value: { turnId, offsetMs: 0 },
});
export const speechMark = (
  turnId: number,
  textStart: number,
  textEnd: number,
  offsetMs: number,
): ServerMessageInit => ({
  case: "speechMark",
  value: { turnId, textStart, textEnd, offsetMs },
});
export const replyFinished = (
  turnId: number,
  fields: MessageInitShape<typeof ReplyFinishedSchema>,
): ServerMessageInit => ({
  case: "replyFinished",
  value: create(ReplyFinishedSchema, { turnId, ...fields }),
});
export const bargeInSettled = (fields: MessageInitShape<typeof BargeInSettledSchema>): ServerMessageInit => ({
  case: "bargeInSettled",
  value: create(BargeInSettledSchema, fields),
});
export const error = (code: string, text: string): ServerMessageInit => ({
  case: "error",
  value: create(ErrorSchema, { code, message: text }),
});
export const serviceNotice = (code: string, active: boolean, text = ""): ServerMessageInit => ({
  case: "serviceNotice",
  value: { code, active, message: text },
});
export const admission = (fields: MessageInitShape<typeof AdmissionSchema>): ServerMessageInit => ({
  case: "admission",
  value: create(AdmissionSchema, fields),
});
export const systemStatus = (fields: MessageInitShape<typeof SystemStatusSchema>): ServerMessageInit => ({
  case: "systemStatus",
  value: create(SystemStatusSchema, fields),
});
export const turnEndPredicted = (atMs: number, waitMs: number): ServerMessageInit => ({
  case: "turnEndPredicted",
  value: create(TurnEndPredictedSchema, { atMs, waitMs, patience: 1 }),
});
export const latencyWaterfall = (fields: MessageInitShape<typeof LatencyWaterfallSchema>) =>
  create(LatencyWaterfallSchema, fields);
export const playback = (turnId: number, playedMs: number, atMs = playedMs): ConversationEvent => ({
  kind: "playback",
  turnId,
  playedMs,
  atMs,
});

/** The connection is open. */
export const OPEN = { kind: "connection", connection: { state: "open" } } as const;

/** A script that leaves the anchor speaking in turn 1. */
export const SPEAKING: readonly (ServerMessageInit | ConversationEvent)[] = [
  OPEN,
  sessionStarted(),
  { kind: "audioStarted" },
  turnCommitted(1, "hello"),
  replyStarted(1),
  replyText(1, "Good evening."),
  replyAudio(1),
];

/** The user's texts of all turns, oldest first. */
export function userTexts(state: Conversation): string[] {
  return state.turns.map(({ userText }) => userText);
}
