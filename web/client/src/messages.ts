/**
 * The messages of a session, and their encoding on the WebSocket: one JSON text frame per message, holding the fields
 * of the `oneof` member and the member's name as `type`.
 */
import {
  create,
  type DescMessage,
  fromJson,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { ClientMessageSchema, ServerMessageSchema } from "./protocol/anchor/session/v1/session_pb";

/** A message from the server, discriminated by `case`: `{case: "replyText", value: {turnId, text}}`. */
export type ServerMessage = NonNullable<Extract<ReturnType<typeof parseServerMessage>, { case: string }>>;

/** A message to the server: `{case: "textInput", value: {text}}`. */
export type ClientMessage = Extract<
  NonNullable<MessageInitShape<typeof ClientMessageSchema>["message"]>,
  { case: string }
>;

/** Encodes a message as a text frame. */
export function encode(message: ClientMessage): string {
  const json = toJson(ClientMessageSchema, create(ClientMessageSchema, { message }), {
    useProtoFieldName: true,
    alwaysEmitImplicit: true,
  });
  const fieldsByType = presentFields(ClientMessageSchema, { [message.case]: message.value }, json as JsonObject);
  const [type, fields] = Object.entries(fieldsByType as Record<string, JsonObject>)[0] ?? [];
  return JSON.stringify({ type, ...fields });
}

/** The fields of `json` that `init` sets, including empty and zero values: for the server, a missing field is unset. */
function presentFields(schema: DescMessage, init: object, json: JsonObject): JsonObject {
  const values = init as Record<string, unknown>;
  const present: JsonObject = {};
  for (const { localName, name, message } of schema.fields) {
    const value = values[localName];
    const encoded = json[name];
    if (value === undefined || encoded === undefined) continue;
    present[name] = message ? presentFields(message, value as object, encoded as JsonObject) : encoded;
  }
  return present;
}

/**
 * Decodes a text frame of the server. Returns null for a message type unknown to this version. Throws when the frame is
 * not valid JSON or a field has the wrong type.
 */
export function decode(frame: string): ServerMessage | null {
  const { type, ...fields } = JSON.parse(frame) as Record<string, JsonValue> & { type: string };
  const message = parseServerMessage({ [type]: fields });
  return message.case === undefined ? null : message;
}

function parseServerMessage(json: JsonValue) {
  return fromJson(ServerMessageSchema, json, { ignoreUnknownFields: true }).message;
}
