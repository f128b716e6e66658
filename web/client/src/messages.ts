/**
 * The messages of a session, and their form on the WebSocket: one JSON text frame each, the fields of the `oneof`
 * member with the member's name as `type`.
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

/** What the server says, by the name of its kind: `{case: "replyText", value: {turnId, text}}`. */
export type ServerMessage = NonNullable<Extract<ReturnType<typeof serverMessage>, { case: string }>>;

/** What a client may say: `{case: "textInput", value: {text}}`. */
export type ClientMessage = Extract<
  NonNullable<MessageInitShape<typeof ClientMessageSchema>["message"]>,
  { case: string }
>;

/** The text frame that says `message`. */
export function encode(message: ClientMessage): string {
  const json = toJson(ClientMessageSchema, create(ClientMessageSchema, { message }), {
    useProtoFieldName: true,
    alwaysEmitImplicit: true,
  });
  const said = named(ClientMessageSchema, { [message.case]: message.value }, json as JsonObject);
  const [type, fields] = Object.entries(said as Record<string, JsonObject>)[0] ?? [];
  return JSON.stringify({ type, ...fields });
}

/** Of `json`, the fields that `init` names, also where they are empty or zero: what is left out, the server misses. */
function named(schema: DescMessage, init: object, json: JsonObject): JsonObject {
  const values = init as Record<string, unknown>;
  const kept: JsonObject = {};
  for (const { localName, name, message } of schema.fields) {
    const value = values[localName];
    const told = json[name];
    if (value === undefined || told === undefined) continue;
    kept[name] = message ? named(message, value as object, told as JsonObject) : told;
  }
  return kept;
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
