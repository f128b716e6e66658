// The socket to the orchestrator: opens a session, brings it back when the line drops, hands on what arrives.

// Waits between attempts to come back, in milliseconds; the last one repeats.
const RETRY_MS = [300, 1000, 2000, 4000];
// More unsent microphone audio than this (two seconds) is worth nothing: what comes then is dropped.
const MAX_UNSENT_BYTES = 64000;
// Close codes (RFC 6455) after which trying again is of no use: refused, or no place free.
const FINAL_CLOSE_CODES = new Set([1008, 1013]);

export class Session {
  #socket = null;
  #ticket = "";
  #failures = 0;
  #ended = false;

  // `start` holds the fields of `session_start`; `onEvent(event)` gets the server's events and two of our own,
  // `connecting` and `connection_lost`; `onAudio(buffer)` gets binary frames.
  constructor({ url, start, onEvent, onAudio }) {
    this.url = url;
    this.start = start;
    this.onEvent = onEvent;
    this.onAudio = onAudio;
    this.droppedFrames = 0;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    this.onEvent({ type: "connecting", again: this.#failures > 0 });
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "session_start", ...this.start, ticket: this.#ticket }));
    };
    socket.onmessage = (message) => this.#receive(message.data);
    socket.onclose = (close) => this.#lost(close);
    this.#socket = socket;
  }

  // Sends one event. Whether it went out: what is said while the line is down is not kept.
  send(event) {
    if (this.isOpen) this.#socket.send(JSON.stringify(event));
    return this.isOpen;
  }

  sendAudio(pcm) {
    if (!this.isOpen) return;
    if (this.#socket.bufferedAmount > MAX_UNSENT_BYTES) this.droppedFrames += 1;
    else this.#socket.send(pcm);
  }

  #receive(data) {
    if (typeof data !== "string") return this.onAudio(data);
    const event = JSON.parse(data);
    if (event.type === "session_started") {
      this.#ticket = event.ticket;
      this.#failures = 0;
    }
    if (event.type === "session_ended") this.#ended = true;
    return this.onEvent(event);
  }

  #lost(close) {
    const final = this.#ended || FINAL_CLOSE_CODES.has(close.code);
    this.onEvent({ type: "connection_lost", final, reason: close.reason });
    if (final) return;
    const wait = RETRY_MS[Math.min(this.#failures, RETRY_MS.length - 1)];
    this.#failures += 1;
    setTimeout(() => this.open(), wait);
  }
}

// Where the session's socket is, seen from the page's own address; a token there is passed on.
export function socketUrl(location) {
  const url = new URL("/ws/audio", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const token = new URLSearchParams(location.search).get("token");
  if (token) url.searchParams.set("token", token);
  return url.href;
}
