/** `Session`: the WebSocket to the orchestrator. Opens a session, reconnects with back-off, decodes messages. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type ClientMessage, decode, encode, type ServerMessage } from "./messages";
import type {
  PlaybackProgressSchema,
  ReplyReceivedSchema,
  SessionStartSchema,
} from "./protocol/anchor/session/v1/session_pb";

// Delays between attempts to reconnect, in milliseconds; the last one repeats. Each is shortened by a random share, so
// that the clients of a restarted server do not reconnect at the same moment.
const RETRY_MS = [300, 1000, 2000, 4000, 8000];
const RETRY_JITTER = 0.3;
// While a server that restarts or moves refuses the session, it is asked about every second.
const MOVING_RETRY_MS = 1000;
// Microphone audio buffered while disconnected, in frames of 20 ms: two seconds. Older frames are dropped.
const MAX_PENDING_FRAMES = 100;
// Limit of the socket's send buffer: two seconds of microphone audio. Frames beyond it are dropped.
const MAX_UNSENT_BYTES = 64_000;
// RFC 6455, section 7.4.1: the server refuses the request itself, so a retry is pointless.
const POLICY_VIOLATION = 1008;
const ABNORMAL_CLOSURE = 1006;
// Code of `reconnecting` when the page has no URL for the session.
const NO_URL = "client.no_url";
// "Service Restart", in the registry of RFC 6455: the conversation goes on with its ticket.
const SERVICE_RESTART = 1012;
const MOVING = "session.moving";
const UNKNOWN_TICKET = "session.unknown_ticket";

/** State of the connection. `code` is the server's dotted code for the reason; empty when there is none. */
export type Connection =
  | { state: "connecting" }
  | { state: "open" }
  | { state: "reconnecting"; code: string; retryInMs: number }
  | { state: "closed"; code: string };

/** Fields of the `session_start` message that the page chooses. */
export type SessionStart = Omit<
  MessageInitShape<typeof SessionStartSchema>,
  "$typeName" | "ticket" | "received" | "played"
>;
/** How far the current reply has been received. */
export type ReplyReceived = Omit<MessageInitShape<typeof ReplyReceivedSchema>, "$typeName">;
/** How far the current reply has been played. */
export type PlaybackProgress = Omit<MessageInitShape<typeof PlaybackProgressSchema>, "$typeName">;

/** The URL of a session, or a function that returns one for every connect. */
export type SocketUrl = string | (() => Promise<string>);

export interface SessionOptions {
  /**
   * URL of `/ws/audio`, with the server's `token` in the query if it has one; or a function that returns one for every
   * connect, with a single-use token that the page's own server requested. Where it fails, the session
   * tries again; `reconnecting` has the code `client.no_url`.
   */
  url: SocketUrl;
  start: SessionStart;
  /** Ticket of a conversation to resume. */
  ticket?: string;
  onMessage: (message: ServerMessage) => void;
  /** Gets the anchor's speech: PCM16 mono at `anchorSampleRateHz` of `sessionStarted`. */
  onAudio: (pcm: ArrayBuffer) => void;
  onConnection: (connection: Connection) => void;
  /** Called on every connect; returns how far the current reply has been received. */
  received?: () => ReplyReceived | undefined;
  /** Called on every connect; returns how far it has been played: a server that restarted may not know. */
  played?: () => PlaybackProgress | undefined;
}

/**
 * One session, without audio devices. It reconnects until `close`, or until the server ends or refuses it; a server that
 * restarts or moves (`session.moving`) does neither.
 */
export class Session {
  readonly #options: SessionOptions;
  #socket: WebSocket | null = null;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #ticket: string;
  #sessionId = "";
  #failures = 0;
  #isStarted = false;
  #isClosed = false;
  /** Code of the `session_ended` that refused the session before it was open; the close code says what to do. */
  #refusal = "";
  /** Counts the calls of `connect`: an address that arrives after a later one is not used. */
  #connects = 0;
  #pendingFrames: ArrayBuffer[] = [];
  /** Number of microphone frames dropped so far. */
  droppedFrames = 0;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#ticket = options.ticket ?? "";
  }

  /** Identifies the conversation; empty until the server has sent one. Keep it secret. */
  get ticket(): string {
    return this.#ticket;
  }

  /**
   * Opens the session. `takeOver` takes the conversation from another client that has it open; that client gets
   * `sessionEnded` with `session.taken_over`.
   */
  connect(takeOver = false): void {
    this.#failures = 0;
    this.#options.onConnection({ state: "connecting" });
    this.#connect(takeOver);
  }

  #connect(takeOver = false): void {
    clearTimeout(this.#retryTimer);
    this.#isClosed = false;
    this.#isStarted = false;
    this.#refusal = "";
    const { url } = this.#options;
    const connect = (this.#connects += 1);
    if (typeof url === "string") {
      this.#open(url, takeOver);
      return;
    }
    const isWanted = (): boolean => connect === this.#connects && !this.#isClosed;
    url().then(
      (address) => {
        if (isWanted()) this.#open(address, takeOver);
      },
      () => {
        if (isWanted()) this.#handleSocketClose(ABNORMAL_CLOSURE, NO_URL);
      },
    );
  }

  #open(url: string, takeOver: boolean): void {
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      const received = this.#options.received?.();
      const played = this.#options.played?.();
      const identity = { ticket: this.#ticket, sessionId: this.#sessionId, takeOver };
      const value = {
        ...this.#options.start,
        ...identity,
        ...(received ? { received } : {}),
        ...(played ? { played } : {}),
      };
      socket.send(encode({ case: "sessionStart", value }));
    };
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      this.#handleFrame(data);
    };
    socket.onclose = ({ code, reason }) => {
      this.#handleSocketClose(code, reason);
    };
    this.#socket = socket;
  }

  /** Sends a message. Returns false, without queueing it, when the session is not open. */
  send(message: ClientMessage): boolean {
    if (!this.#isStarted) return false;
    this.#socket?.send(encode(message));
    return true;
  }

  /** Sends a microphone frame. While disconnected, the last two seconds are buffered. */
  sendAudio(pcm: ArrayBuffer): void {
    if (this.#isClosed) return;
    if (this.#isStarted) {
      this.#sendFrame(pcm);
      return;
    }
    this.#pendingFrames.push(pcm);
    if (this.#pendingFrames.length <= MAX_PENDING_FRAMES) return;
    this.#pendingFrames.shift();
    this.droppedFrames += 1;
  }

  /** Drops the audio that is buffered for the next connection. */
  dropAudio(): void {
    this.#pendingFrames = [];
  }

  /** Ends the session. The conversation can be resumed later with its ticket. */
  close(): void {
    clearTimeout(this.#retryTimer);
    this.#setClosed("");
    this.#socket?.close(1000);
  }

  #handleFrame(data: string | ArrayBuffer): void {
    if (typeof data !== "string") {
      this.#options.onAudio(data);
      return;
    }
    const message = decode(data);
    if (message === null) return;
    if (message.case === "sessionStarted") this.#handleStarted(message.value.ticket, message.value.sessionId);
    this.#options.onMessage(message);
    if (message.case === "sessionEnded") this.#handleEnded(message.value.code);
  }

  #handleEnded(code: string): void {
    // The socket closes next. A server that moves takes the session again; one that refused it may, by its close code.
    if (code !== MOVING && this.#isStarted) this.#setClosed(code);
    else this.#refusal = code;
    this.#isStarted = false;
  }

  #handleStarted(ticket: string, sessionId: string): void {
    this.#ticket = ticket;
    this.#sessionId = sessionId;
    this.#failures = 0;
    this.#isStarted = true;
    for (const pcm of this.#pendingFrames.splice(0)) this.#sendFrame(pcm);
    this.#options.onConnection({ state: "open" });
  }

  #sendFrame(pcm: ArrayBuffer): void {
    const socket = this.#socket;
    if (socket && socket.bufferedAmount <= MAX_UNSENT_BYTES) socket.send(pcm);
    else this.droppedFrames += 1;
  }

  #setClosed(code: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isStarted = false;
    this.#pendingFrames = [];
    this.#options.onConnection({ state: "closed", code });
  }

  #handleSocketClose(closeCode: number, reason: string): void {
    this.#isStarted = false;
    if (this.#isClosed) return;
    const code = reason || this.#refusal;
    if (code === UNKNOWN_TICKET && this.#ticket) {
      // The server has forgotten the conversation: start a new one, at once.
      this.#ticket = "";
      this.#sessionId = "";
      this.#options.onConnection({ state: "reconnecting", code, retryInMs: 0 });
      this.#connect();
      return;
    }
    if (closeCode === POLICY_VIOLATION) {
      this.#setClosed(code);
      return;
    }
    const isMoving = closeCode === SERVICE_RESTART;
    const longestMs = isMoving ? MOVING_RETRY_MS : (RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)] as number);
    const retryInMs = Math.round(longestMs * (1 - RETRY_JITTER * Math.random()));
    // A server that moves is about to return: the delays do not grow.
    this.#failures = isMoving ? 1 : this.#failures + 1;
    this.#options.onConnection({ state: "reconnecting", code, retryInMs });
    this.#retryTimer = setTimeout(() => {
      this.#connect();
    }, retryInMs);
  }
}

/**
 * The URL of `/ws/audio` on the page's own server, below the page's folder, with the page's `token` if it has one. A proxy
 * may serve the anchor under any path.
 */
export function socketUrl(page: URL | Location): string {
  const url = new URL("ws/audio", page.href);
  url.protocol = page.protocol === "https:" ? "wss:" : "ws:";
  const token = pageToken(page);
  url.search = token ? `?token=${encodeURIComponent(token)}` : "";
  url.hash = "";
  return url.href;
}

/** The `token` in the page's address; empty without one. A plus sign is itself, unlike in a form. */
export function pageToken(page: URL | Location): string {
  const pairs = new URL(page.href).search.slice(1).split("&");
  const written = pairs.find((pair) => pair.startsWith("token="))?.slice("token=".length) ?? "";
  return new URLSearchParams(`token=${written.replaceAll("+", "%2B")}`).get("token") ?? "";
}
