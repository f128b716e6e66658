/** The socket to the orchestrator: opens a session, brings it back when the line drops, hands on what arrives. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ClientMessage, decode, encode, type ServerMessage } from "./messages";
import type { ReplyReceivedSchema, SessionStartSchema } from "./protocol/anchor/session/v1/session_pb";

// Waits between attempts to come back, in milliseconds; the last one repeats. Each is shortened by chance, so that all
// the clients of a server that was restarted do not come at one moment.
const RETRY_MS = [300, 1000, 2000, 4000, 8000];
const SHORTENED_BY = 0.3;
// What is said while the line is down is kept so long, in frames of 20 ms; what is older is dropped.
const KEPT_FRAMES = 100;
// More unsent microphone audio than this (two seconds) is worth nothing: what comes then is dropped.
const MAX_UNSENT_BYTES = 64_000;
// RFC 6455 code by which a server says that the request itself was wrong: the same again is of no use.
const REFUSED = 1008;

/** How the line to the server is. `code` is the server's dotted code for what happened, or empty. */
export type Connection =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "reconnecting"; code: string; retryInMs: number }
  | { state: "closed"; code: string };

export type SessionStart = Omit<MessageInitShape<typeof SessionStartSchema>, "$typeName" | "ticket" | "received">;
export type ReplyReceived = Omit<MessageInitShape<typeof ReplyReceivedSchema>, "$typeName">;

export interface SessionOptions {
  /** Of `/ws/audio`; a token of the server's stands in the query. */
  url: string;
  start: SessionStart;
  /** Ticket of a conversation to go on with. */
  ticket?: string;
  onMessage: (message: ServerMessage) => void;
  /** Gets the anchor's speech, PCM16 at the rate that `sessionStarted` told. */
  onAudio: (pcm: ArrayBuffer) => void;
  onConnection: (connection: Connection) => void;
  /** Asked when the line comes back: up to where the reply under way was received. */
  received?: () => ReplyReceived | undefined;
}

export class Session {
  readonly #options: SessionOptions;
  #socket: WebSocket | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ticket: string;
  #sessionId = "";
  #failures = 0;
  #started = false;
  #over = false;
  #kept: ArrayBuffer[] = [];
  /** Frames of the microphone that never went out. */
  droppedFrames = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#ticket = options.ticket ?? "";
  }

  /** Names the conversation; empty before the server has given one. Keep it secret. */
  get ticket(): string {
    return this.#ticket;
  }

  /** Opens the session, with `takeOver` also when another client has the conversation open: that one is told. */
  connect(takeOver = false): void {
    clearTimeout(this.#retry);
    this.#over = false;
    this.#started = false;
    if (this.#failures === 0) this.#options.onConnection({ state: "connecting" });
    const socket = new WebSocket(this.#options.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const received = this.#options.received?.();
      const own = { ticket: this.#ticket, sessionId: this.#sessionId, takeOver };
      const value = { ...this.#options.start, ...own, ...(received ? { received } : {}) };
      socket.send(encode({ case: "sessionStart", value }));
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      this.#receive(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#lost(code, reason);
    };
    this.#socket = socket;
  }

  /** Says something. Whether it went out: what is said while the line is down is not kept. */
  send(message: ClientMessage): boolean {
    if (!this.#started) return false;
    this.#socket?.send(encode(message));
    return true;
  }

  /** Sends a frame of the microphone; keeps the last two seconds while the line is down. */
  sendAudio(pcm: ArrayBuffer): void {
    if (this.#over) return;
    if (this.#started) {
      this.#sendFrame(pcm);
      return;
    }
    this.#kept.push(pcm);
    if (this.#kept.length <= KEPT_FRAMES) return;
    this.#kept.shift();
    this.droppedFrames += 1;
  }

  /** Ends the session; the conversation may be gone on with later, by its ticket. */
  close(): void {
    clearTimeout(this.#retry);
    this.#end("");
    this.#socket?.close(1000);
  }

  #receive(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.#options.onAudio(data);
      return;
    }
    const message = decode(data);
    if (message === null) return;
    if (message.case === "sessionStarted") this.#start(message.value.ticket, message.value.sessionId);
    this.#options.onMessage(message);
    if (message.case === "sessionEnded") this.#end(message.value.code);
  }

  #start(ticket: string, sessionId: string): void {
    this.#ticket = ticket;
    this.#sessionId = sessionId;
    this.#failures = 0;
    this.#started = true;
    this.#options.onConnection({ state: "open" });
    for (const pcm of this.#kept.splice(0)) this.#sendFrame(pcm);
  }

  #sendFrame(pcm: ArrayBuffer): void {
    const socket = this.#socket;
    if (socket && socket.bufferedAmount <= MAX_UNSENT_BYTES) socket.send(pcm);
    else this.droppedFrames += 1;
  }

  #end(code: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#started = false;
    this.#kept = [];
    this.#options.onConnection({ state: "closed", code });
  }

  #lost(closeCode: number, code: string): void {
    this.#started = false;
    if (this.#over) return;
    if (code === "session.unknown_ticket" && this.#ticket) {
      // The server was restarted, or has forgotten: a new conversation is better than none.
      this.#ticket = "";
      this.#sessionId = "";
    } else if (closeCode === REFUSED) {
      this.#end(code);
      return;
    }
    const longestMs = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] as number;
    const retryInMs = Math.round(longestMs * (1 - SHORTENED_BY * Math.random()));
    this.#failures += 1;
    this.#options.onConnection({ state: "reconnecting", code, retryInMs });
    this.#retry = setTimeout(() => {
      this.connect();
    }, retryInMs);
  }
}

/** Where the session's socket is, seen from a page's own address; a token there is passed on. */
export function socketUrl(page: URL | Location): string {
  const url = new URL("/ws/audio", page.href);
  url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
  const token = new URL(page.href).searchParams.get("token");
  if (token) url.searchParams.set("token", token);
  return url.href;
}
