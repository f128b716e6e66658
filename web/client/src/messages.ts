/**
 * The messages of a session, and their form on the WebSocket: one JSON text frame each, the fields of the `oneof`
 * member with the member's name as `type`.
 */
import { create, fromJson, type JsonValue, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { ClientMessageSchema, ServerMessageSchema } from "./protocol/anchor/session/v1/session_pb";

/** What the server says, by the name of its kind: `{case: "replyText", value: {turnId, text}}`. */
export type ServerMessage = NonNullable<Extract<ReturnType<typeof serverMessage>, { case: string }>>;

/** What a client may say: `{case: "textInput", value: {text}}`. */
export type ClientMessage = Extract<
  NonNullable<MessageInitShape<typeof ClientMessageSchema>["message"]>,
  { case: string }
>;

/** The text frame that says `message`. */
export function encode(message: ClientMessage): string {
  const json = toJson(ClientMessageSchema, create(ClientMessageSchema, { message }), { useProtoFieldName: true });
  const [type, fields] = Object.entries(json as Record<string, Record<string, JsonValue>>)[0] ?? [];
  return JSON.stringify({ type, ...fields });
}

/** What a text frame of the server says; null for a message of a newer server. Throws for what is no message. */
export function decode(frame: string): ServerMessage | null {
  const { type, ...fields } = JSON.parse(frame) as Record<string, JsonValue> & { type: string };
  const message = serverMessage({ [type]: fields });
  return message.case === undefined ? null : message;
}

function serverMessage(json: JsonValue) {
  return fromJson(ServerMessageSchema, json, { ignoreUnknownFields: true }).message;
}
