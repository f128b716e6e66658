/** What happened in the conversation and when: one line for each event, the newest `MAX_ENTRIES`. */
import { AdmissionState, BargeInVerdict, type Connection, type ServerMessage } from "@ai-anchor/client";
import { admissionMessage } from "./admission";
import type { ConversationEvent } from "./conversation_reducer";
import { formatDuration } from "./format";
import { responseMs } from "./latency";
import { waitReason } from "./wait_reason";

export type LogGroup = "speech" | "turn" | "reply" | "notice" | "connection";

export const LOG_GROUPS: Readonly<Record<LogGroup, string>> = {
  speech: "Speech",
  turn: "Turns",
  reply: "Replies",
  notice: "Notices",
  connection: "Connection",
};

/** The log keeps this many entries: about an hour of talk. Older ones are dropped. */
export const MAX_ENTRIES = 1000;
// Longer texts are cut.
const MAX_TEXT_CHARS = 160;

export interface LogEntry {
  /** Counts the entries of this page, from 1. */
  id: number;
  /** In milliseconds since 1970; of a collapsed entry, the latest event's. */
  atMs: number;
  group: LogGroup;
  /** Null for events of no turn. */
  turnId: number | null;
  text: string;
  /** How many events the entry stands for: partial transcripts that follow each other are one. */
  count: number;
  /** Whether the next event of the same turn replaces the text. */
  collapses: boolean;
}

/** The part of an entry that the event itself tells. */
type Line = Pick<LogEntry, "group" | "turnId" | "text"> & { collapses?: boolean };

/** Holds the entries; `subscribe` tells of new ones. Keeps them while nobody looks. */
export class EventLog {
  #entries: LogEntry[] = [];
  #recorded = 0;
  readonly #subscribers = new Set<() => void>();

  /** Oldest first. */
  get entries(): readonly LogEntry[] {
    return this.#entries;
  }

  /** How many entries were dropped because of the bound. */
  get dropped(): number {
    return this.#recorded - this.#entries.length;
  }

  /** Records what `event` tells; many events, such as playback reports, tell nothing. */
  record(event: ConversationEvent, atMs: number): void {
    const line = logLine(event);
    if (line === null) return;
    const { collapses = false, ...rest } = line;
    const text = cut(line.text);
    const last = this.#entries.at(-1);
    if (collapses && last?.collapses && last.turnId === line.turnId && last.group === line.group) {
      this.#entries = [...this.#entries.slice(0, -1), { ...last, atMs, text, count: last.count + 1 }];
    } else {
      this.#recorded += 1;
      const entry = { ...rest, id: this.#recorded, atMs, text, count: 1, collapses };
      this.#entries = [...this.#entries, entry].slice(-MAX_ENTRIES);
    }
    for (const subscriber of this.#subscribers) subscriber();
  }

  /** Calls `subscriber` after every change until the returned function is called. */
  subscribe(subscriber: () => void): () => void {
    this.#subscribers.add(subscriber);
    return () => {
      this.#subscribers.delete(subscriber);
    };
  }
}

/** The line that an event tells; null for events that are not told. */
export function logLine(event: ConversationEvent): Line | null {
  switch (event.kind) {
    case "message":
      return messageLine(event.message);
    case "connection":
      return { group: "connection", turnId: null, text: connectionText(event.connection) };
    case "microphone":
      return {
        group: "connection",
        turnId: null,
        text: `Microphone ${event.microphone}${event.reason ? `: ${event.reason}` : ""}`,
      };
    case "notice":
      return event.notice ? { group: "notice", turnId: null, text: event.notice } : null;
    case "trial":
      return { group: "turn", turnId: null, text: `Setting ${event.trial.slot} in force` };
    case "recording":
      return { group: "speech", turnId: null, text: event.name ? `Recording begins: ${event.name}` : "Recording over" };
    case "audioStarted":
      return { group: "connection", turnId: null, text: "Sound allowed by the browser" };
    case "reset":
      return { group: "connection", turnId: null, text: "New conversation" };
    case "playback":
      return null;
  }
}

/** A time of day, to the millisecond, on the user's clock: `18:04:09.120`. */
export function formatClock(unixMs: number): string {
  const date = new Date(unixMs);
  const digits = (value: number, count = 2) => String(value).padStart(count, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map((value) => digits(value)).join(":");
  return `${clock}.${digits(date.getMilliseconds(), 3)}`;
}

function messageLine(message: ServerMessage): Line | null {
  switch (message.case) {
    case "speechStarted":
      return { group: "speech", turnId: null, text: "Speech started" };
    case "speechStopped":
      return { group: "speech", turnId: null, text: "Speech ended" };
    case "partialTranscript": {
      const { turnId, text } = message.value;
      return { group: "speech", turnId, text: `Heard so far: ${quoted(text)}`, collapses: true };
    }
    case "finalTranscript": {
      const { turnId, text, revision } = message.value;
      return { group: "speech", turnId, text: `Transcript ${revision}: ${quoted(text)}` };
    }
    case "turnEndPredicted":
      return { group: "turn", turnId: null, text: waitReason(message.value).prospect };
    case "turnCommitted":
      return { group: "turn", turnId: message.value.turnId, text: `Turn over: ${quoted(message.value.text)}` };
    case "bargeInSettled":
      return {
        group: "turn",
        turnId: message.value.replyTurnId,
        text: VERDICTS[message.value.verdict] ?? "Sound over the reply",
      };
    case "sessionStarted":
      return { group: "connection", turnId: null, text: message.value.resumed ? "Session resumed" : "Session started" };
    case "sessionEnded":
      return { group: "connection", turnId: null, text: `Session ended: ${message.value.code}` };
    case "sessionUpdated":
      return { group: "turn", turnId: null, text: "Settings changed" };
    case "serviceNotice": {
      const { code, active, message: text } = message.value;
      return { group: "notice", turnId: null, text: `${active ? "Begins" : "Over"}: ${code}${text && `, ${text}`}` };
    }
    case "admission": {
      const admitted = message.value.state === AdmissionState.ADMITTED;
      return { group: "notice", turnId: null, text: admitted ? "Has a place" : admissionMessage(message.value) };
    }
    case "error":
      return { group: "notice", turnId: null, text: `${message.value.code}: ${message.value.message}` };
    default:
      return replyLine(message);
  }
}

function replyLine(message: ServerMessage): Line | null {
  const line = (turnId: number, text: string): Line => ({ group: "reply", turnId, text });
  switch (message.case) {
    case "replyStarted":
      return line(message.value.turnId, `Reply started by ${message.value.engine}`);
    case "replyAudio":
      return line(message.value.turnId, `Sound arrives, from ${formatDuration(message.value.offsetMs)} on`);
    case "playbackPause":
      return line(message.value.turnId, "Paused");
    case "playbackResume":
      return line(message.value.turnId, "Resumed");
    case "playbackStop":
      return line(message.value.turnId, "Stopped");
    case "replyAudioEnded":
      return line(message.value.turnId, `All sound sent: ${formatDuration(message.value.durationMs)}`);
    case "replyFinished": {
      const { turnId, interrupted, heardMs } = message.value;
      return line(turnId, `Reply ${interrupted ? "cut off" : "over"}: heard ${formatDuration(heardMs)}`);
    }
    case "turnFailed":
      return line(message.value.turnId, `Failed: ${message.value.code}, ${message.value.message}`);
    case "latencyWaterfall": {
      const ms = responseMs(message.value);
      return line(
        message.value.turnId,
        ms === undefined ? "Figures without a sound" : `First sound after ${formatDuration(ms)}`,
      );
    }
    default:
      // Text, marks, sources and states: other parts of the page show them.
      return null;
  }
}

const VERDICTS: Readonly<Record<number, string>> = {
  [BargeInVerdict.STOP_WORDS]: "Talked over: stopped by words",
  [BargeInVerdict.STOP_DURATION]: "Talked over: stopped by how long it lasted",
  [BargeInVerdict.BACKCHANNEL]: "Sound over the reply: somebody who listens, the reply goes on",
  [BargeInVerdict.ECHO]: "Sound over the reply: the anchor’s own echo, the reply goes on",
  [BargeInVerdict.COUGH]: "Sound over the reply: no words, the reply goes on",
  [BargeInVerdict.CONTINUATION]: "The question went on: the reply is withdrawn",
};

function connectionText(connection: Connection | { state: "idle" }): string {
  switch (connection.state) {
    case "idle":
      return "Not connected";
    case "connecting":
      return "Connecting";
    case "open":
      return "Connected";
    case "reconnecting":
      return `Connection lost${reason(connection.code)}; next try in ${formatDuration(connection.retryInMs)}`;
    case "closed":
      return `Connection closed${reason(connection.code)}`;
  }
}

function reason(code: string): string {
  return code ? ` (${code})` : "";
}

function quoted(text: string): string {
  return text ? `“${text}”` : "no words";
}

function cut(text: string): string {
  const points = Array.from(text);
  return points.length > MAX_TEXT_CHARS ? `${points.slice(0, MAX_TEXT_CHARS - 1).join("")}…` : text;
}
