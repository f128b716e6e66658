import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Connection, Session, socketUrl } from "../src/session";

/** A server's end of every socket that the page opens. */
class FakeSocket {
  static all: FakeSocket[] = [];
  static get newest(): FakeSocket {
    return FakeSocket.all.at(-1) as FakeSocket;
  }
  binaryType = "blob";
  bufferedAmount = 0;
  sent: (string | ArrayBuffer)[] = [];
  onopen = (): void => undefined;
  onmessage: (event: { data: unknown }) => void = () => undefined;
  onclose: (event: { code: number; reason: string }) => void = () => undefined;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }
  send(data: string | ArrayBuffer): void {
    this.sent.push(data);
  }
  close(code: number): void {
    this.onclose({ code, reason: "" });
  }
  /** The server lets the client in. */
  admit(ticket = "t1"): void {
    this.onopen();
    this.says({ type: "session_started", session_id: "s", ticket });
  }
  says(message: object): void {
    this.onmessage({ data: JSON.stringify(message) });
  }
  drop(code = 1006, reason = ""): void {
    this.onclose({ code, reason });
  }
  get start(): Record<string, unknown> {
    return JSON.parse(this.sent[0] as string) as Record<string, unknown>;
  }
}

let told: Connection[];
let session: Session;
const states = () => told.map(({ state }) => state);
const frame = (first: number) => new Int16Array([first, 0]).buffer;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  told = [];
  session = new Session({
    url: "ws://anchor/ws/audio",
    start: { language: "de" },
    onMessage: () => undefined,
    onAudio: () => undefined,
    onConnection: (connection) => told.push(connection),
    received: () => ({ turnId: 4, offsetMs: 1500 }),
  });
});

afterEach(() => {
  session.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a dropped line", () => {
  test("is taken up again with the ticket, from where the reply was received", () => {
    session.connect();
    FakeSocket.newest.admit("t7");
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(300);
    FakeSocket.newest.admit("t7");
    expect(states()).toEqual(["connecting", "open", "reconnecting", "open"]);
    expect(FakeSocket.newest.start).toMatchObject({
      type: "session_start",
      language: "de",
      ticket: "t7",
      session_id: "s",
      received: { turn_id: 4, offset_ms: 1500 },
    });
  });

  test("is waited for longer and longer, until it holds", () => {
    session.connect();
    for (const longestMs of [300, 1000, 2000, 4000, 8000, 8000]) {
      FakeSocket.newest.drop();
      const last = told.at(-1);
      expect(last?.state === "reconnecting" && last.retryInMs).toBeLessThanOrEqual(longestMs);
      expect(last?.state === "reconnecting" && last.retryInMs).toBeGreaterThanOrEqual(longestMs * 0.7);
      vi.advanceTimersByTime(longestMs);
    }
    FakeSocket.newest.admit();
    FakeSocket.newest.drop();
    const last = told.at(-1);
    expect(last?.state === "reconnecting" && last.retryInMs).toBeLessThanOrEqual(300);
  });

  test("loses none of the last two seconds that were spoken into it", () => {
    session.connect();
    FakeSocket.newest.admit();
    FakeSocket.newest.drop();
    for (let index = 0; index < 130; index += 1) session.sendAudio(frame(index));
    vi.advanceTimersByTime(300);
    FakeSocket.newest.admit();
    const frames = FakeSocket.newest.sent.slice(1).map((pcm) => new Int16Array(pcm as ArrayBuffer)[0]);
    expect(frames).toEqual(Array.from({ length: 100 }, (_, index) => index + 30));
    expect(session.droppedFrames).toBe(30);
  });
});

describe("a server", () => {
  test("that has forgotten the conversation gets a new one", () => {
    session.connect();
    FakeSocket.newest.admit("old");
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(300);
    FakeSocket.newest.onopen();
    FakeSocket.newest.drop(1008, "session.unknown_ticket");
    vi.advanceTimersByTime(1000);
    FakeSocket.newest.admit("new");
    expect(FakeSocket.newest.start).toMatchObject({ ticket: "" });
    expect(session.ticket).toBe("new");
  });

  test("that refuses is not asked again, unless told to take over", () => {
    session.connect();
    FakeSocket.newest.onopen();
    FakeSocket.newest.drop(1008, "session.already_open");
    vi.advanceTimersByTime(60_000);
    expect(told.at(-1)).toEqual({ state: "closed", code: "session.already_open" });
    expect(FakeSocket.all).toHaveLength(1);
    session.connect(true);
    FakeSocket.newest.onopen();
    expect(FakeSocket.newest.start).toMatchObject({ take_over: true });
  });

  test("that is full is asked again, and why is told", () => {
    session.connect();
    FakeSocket.newest.onopen();
    FakeSocket.newest.drop(1013, "session.at_capacity");
    expect(told.at(-1)).toMatchObject({ state: "reconnecting", code: "session.at_capacity" });
    vi.advanceTimersByTime(300);
    expect(FakeSocket.all).toHaveLength(2);
  });

  test("that ended the session is not asked again", () => {
    session.connect();
    FakeSocket.newest.admit();
    FakeSocket.newest.says({ type: "session_ended", code: "session.taken_over", message: "" });
    FakeSocket.newest.drop(1000);
    vi.advanceTimersByTime(60_000);
    expect(told.at(-1)).toEqual({ state: "closed", code: "session.taken_over" });
    expect(FakeSocket.all).toHaveLength(1);
  });
});

test("nothing is said before the session is open", () => {
  session.connect();
  FakeSocket.newest.onopen();
  expect(session.send({ case: "interrupt", value: {} })).toBe(false);
  FakeSocket.newest.admit();
  expect(session.send({ case: "interrupt", value: {} })).toBe(true);
});

test("audio that the line does not take is dropped and counted, not piled up", () => {
  session.connect();
  FakeSocket.newest.admit();
  FakeSocket.newest.bufferedAmount = 70_000;
  session.sendAudio(frame(1));
  expect(FakeSocket.newest.sent).toHaveLength(1);
  expect(session.droppedFrames).toBe(1);
});

test("the socket is where the page is, with the page's token", () => {
  expect(socketUrl(new URL("https://studio.example/?token=a%20b"))).toBe("wss://studio.example/ws/audio?token=a+b");
  expect(socketUrl(new URL("http://127.0.0.1:8080/index.html"))).toBe("ws://127.0.0.1:8080/ws/audio");
});
