import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ServerMessage } from "../src/messages";
import { type Connection, Session, socketUrl } from "../src/session";

/** The sockets that the session opens; the test plays the server. */
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
  /** The server accepts the session. */
  accept(ticket = "t1"): void {
    this.onopen();
    this.receive({ type: "session_started", session_id: "s", ticket });
  }
  /** The server refuses the session. */
  refuse(closeCode: number, code: string): void {
    this.onopen();
    this.receive({ type: "error", code, message: "" });
    this.receive({ type: "session_ended", code, message: "" });
    this.drop(closeCode, code);
  }
  receive(message: object): void {
    this.onmessage({ data: JSON.stringify(message) });
  }
  drop(code = 1006, reason = ""): void {
    this.onclose({ code, reason });
  }
  /** The `session_start` message that the client sent. */
  get sessionStart(): Record<string, unknown> {
    return JSON.parse(this.sent[0] as string) as Record<string, unknown>;
  }
}

let connections: Connection[];
let messages: ServerMessage[];
let session: Session;
const states = () => connections.map(({ state }) => state);
const frame = (first: number) => new Int16Array([first, 0]).buffer;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  connections = [];
  messages = [];
  session = new Session({
    url: "ws://anchor/ws/audio",
    start: { language: "de" },
    onMessage: (message) => messages.push(message),
    onAudio: () => undefined,
    onConnection: (connection) => connections.push(connection),
    received: () => ({ turnId: 4, offsetMs: 1500 }),
    played: () => ({ turnId: 4, playedMs: 700 }),
  });
});

afterEach(() => {
  session.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("after a lost connection, the session", () => {
  test("resumes with its ticket and the received and played parts of the reply", () => {
    session.connect();
    FakeSocket.newest.accept("t7");
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(300);
    FakeSocket.newest.accept("t7");
    expect(states()).toEqual(["connecting", "open", "reconnecting", "open"]);
    expect(FakeSocket.newest.sessionStart).toMatchObject({
      type: "session_start",
      language: "de",
      ticket: "t7",
      session_id: "s",
      received: { turn_id: 4, offset_ms: 1500 },
      played: { turn_id: 4, played_ms: 700 },
    });
  });

  test("backs off exponentially and starts over after a success", () => {
    session.connect();
    for (const longestMs of [300, 1000, 2000, 4000, 8000, 8000]) {
      FakeSocket.newest.drop();
      const last = connections.at(-1);
      expect(last?.state === "reconnecting" && last.retryInMs).toBeLessThanOrEqual(longestMs);
      expect(last?.state === "reconnecting" && last.retryInMs).toBeGreaterThanOrEqual(longestMs * 0.7);
      vi.advanceTimersByTime(longestMs);
    }
    FakeSocket.newest.accept();
    FakeSocket.newest.drop();
    const last = connections.at(-1);
    expect(last?.state === "reconnecting" && last.retryInMs).toBeLessThanOrEqual(300);
  });

  test("sends the last two seconds of microphone audio", () => {
    session.connect();
    FakeSocket.newest.accept();
    FakeSocket.newest.drop();
    for (let index = 0; index < 130; index += 1) session.sendAudio(frame(index));
    vi.advanceTimersByTime(300);
    FakeSocket.newest.accept();
    const frames = FakeSocket.newest.sent.slice(1).map((pcm) => new Int16Array(pcm as ArrayBuffer)[0]);
    expect(frames).toEqual(Array.from({ length: 100 }, (_, index) => index + 30));
    expect(session.droppedFrames).toBe(30);
  });
});

describe("a server", () => {
  test("that does not know the ticket gets a new conversation, at once", () => {
    session.connect();
    FakeSocket.newest.accept("old");
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(300);
    FakeSocket.newest.refuse(1008, "session.unknown_ticket");
    FakeSocket.newest.accept("new");
    expect(FakeSocket.newest.sessionStart).toMatchObject({ ticket: "", session_id: "" });
    expect(session.ticket).toBe("new");
    expect(states()).toEqual(["connecting", "open", "reconnecting", "reconnecting", "open"]);
  });

  test("that forgets every ticket is not asked without end", () => {
    session.connect();
    FakeSocket.newest.accept("old");
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(300);
    FakeSocket.newest.refuse(1008, "session.unknown_ticket");
    FakeSocket.newest.refuse(1008, "session.unknown_ticket");
    expect(connections.at(-1)).toEqual({ state: "closed", code: "session.unknown_ticket" });
  });

  test("that refuses the session is not retried, except to take over", () => {
    session.connect();
    FakeSocket.newest.refuse(1008, "session.already_open");
    vi.advanceTimersByTime(60_000);
    expect(connections.at(-1)).toEqual({ state: "closed", code: "session.already_open" });
    expect(FakeSocket.all).toHaveLength(1);
    session.connect(true);
    FakeSocket.newest.onopen();
    expect(FakeSocket.newest.sessionStart).toMatchObject({ take_over: true });
  });

  test.each(["session.at_capacity", "store.unavailable"])("that refuses for now (%s) is retried", (code) => {
    session.connect();
    FakeSocket.newest.refuse(1013, code);
    expect(connections.at(-1)).toMatchObject({ state: "reconnecting", code });
    vi.advanceTimersByTime(300);
    expect(FakeSocket.all).toHaveLength(2);
  });

  test("that moves gets the conversation again, with the words spoken meanwhile", () => {
    session.connect();
    FakeSocket.newest.accept("t7");
    FakeSocket.newest.receive({ type: "session_ended", code: "session.moving", message: "" });
    expect(session.send({ case: "interrupt", value: {} })).toBe(false);
    session.sendAudio(frame(1));
    FakeSocket.newest.drop(1012, "session.moving");
    // It refuses for as long as it drains, then it is gone, then it is back.
    for (let refusals = 0; refusals < 4; refusals += 1) {
      expect(connections.at(-1)).toMatchObject({ state: "reconnecting", code: "session.moving" });
      vi.advanceTimersByTime(1000);
      FakeSocket.newest.onopen();
      FakeSocket.newest.drop(1012, "session.moving");
    }
    vi.advanceTimersByTime(1000);
    FakeSocket.newest.drop();
    vi.advanceTimersByTime(1000);
    FakeSocket.newest.accept("t7");
    expect(FakeSocket.newest.sessionStart).toMatchObject({ ticket: "t7", played: { turn_id: 4, played_ms: 700 } });
    expect(FakeSocket.newest.sent.slice(1)).toEqual([frame(1)]);
    expect(states()).not.toContain("closed");
    expect(states().at(-1)).toBe("open");
  });

  test("that ends the session is not retried", () => {
    session.connect();
    FakeSocket.newest.accept();
    FakeSocket.newest.receive({ type: "session_ended", code: "session.taken_over", message: "" });
    FakeSocket.newest.drop(1000);
    vi.advanceTimersByTime(60_000);
    expect(connections.at(-1)).toEqual({ state: "closed", code: "session.taken_over" });
    expect(FakeSocket.all).toHaveLength(1);
  });
});

test("the page is told of each attempt that it asks for, also after others have failed", () => {
  session.connect();
  FakeSocket.newest.drop();
  vi.advanceTimersByTime(300);
  FakeSocket.newest.refuse(1008, "session.already_open");
  session.connect();
  expect(states()).toEqual(["connecting", "reconnecting", "closed", "connecting"]);
});

test("buffered audio is sent before the page hears of the connection, unless it was dropped", () => {
  session.connect();
  FakeSocket.newest.accept();
  FakeSocket.newest.drop();
  session.sendAudio(frame(1));
  session.dropAudio();
  session.sendAudio(frame(2));
  vi.advanceTimersByTime(300);
  const sentBefore: number[] = [];
  const remember = vi
    .spyOn(connections, "push")
    .mockImplementation(() => sentBefore.push(FakeSocket.newest.sent.length));
  FakeSocket.newest.accept();
  expect(FakeSocket.newest.sent.slice(1)).toEqual([frame(2)]);
  expect(sentBefore).toEqual([2]);
  remember.mockRestore();
});

test("`send` returns false before the session is open", () => {
  session.connect();
  FakeSocket.newest.onopen();
  expect(session.send({ case: "interrupt", value: {} })).toBe(false);
  FakeSocket.newest.accept();
  expect(session.send({ case: "interrupt", value: {} })).toBe(true);
});

test("service notices reach the page while the session stays open", () => {
  session.connect();
  FakeSocket.newest.accept();
  for (const active of [true, false]) {
    FakeSocket.newest.receive({ type: "service_notice", code: "stt.unreachable", active, message: "" });
  }
  expect(messages.slice(1)).toMatchObject([
    { case: "serviceNotice", value: { code: "stt.unreachable", active: true } },
    { case: "serviceNotice", value: { code: "stt.unreachable", active: false } },
  ]);
  expect(states()).toEqual(["connecting", "open"]);
});

test("audio beyond the socket's send buffer is dropped and counted", () => {
  session.connect();
  FakeSocket.newest.accept();
  FakeSocket.newest.bufferedAmount = 70_000;
  session.sendAudio(frame(1));
  expect(FakeSocket.newest.sent).toHaveLength(1);
  expect(session.droppedFrames).toBe(1);
});

test("`socketUrl` uses the page's origin and token", () => {
  expect(socketUrl(new URL("https://studio.example/?token=a%20b"))).toBe("wss://studio.example/ws/audio?token=a%20b");
  expect(socketUrl(new URL("https://studio.example/?x=1&token=a+b%2B%2F#top"))).toBe(
    "wss://studio.example/ws/audio?token=a%2Bb%2B%2F",
  );
  expect(socketUrl(new URL("http://127.0.0.1:8080/index.html"))).toBe("ws://127.0.0.1:8080/ws/audio");
  expect(socketUrl(new URL("https://studio.example/anchor/?token=x"))).toBe(
    "wss://studio.example/anchor/ws/audio?token=x",
  );
  expect(socketUrl(new URL("http://[::1]:8080/a/b/index.html"))).toBe("ws://[::1]:8080/a/b/ws/audio");
});

describe("with a function for its URL, the session", () => {
  /** Lets the promises run that are settled. */
  const settle = () => vi.advanceTimersByTimeAsync(0);
  let asked: number;
  const sessionWith = (url: () => Promise<string>) => {
    session = new Session({
      url,
      start: {},
      onMessage: (message) => messages.push(message),
      onAudio: () => undefined,
      onConnection: (connection) => connections.push(connection),
    });
  };

  beforeEach(() => {
    asked = 0;
  });

  test("connects every time with a new address", async () => {
    sessionWith(() => Promise.resolve(`ws://anchor/ws/audio?token=${(asked += 1).toString()}`));
    session.connect();
    await settle();
    FakeSocket.newest.accept();
    FakeSocket.newest.drop();
    await vi.advanceTimersByTimeAsync(300);
    expect(FakeSocket.all.map(({ url }) => url.slice(-1))).toEqual(["1", "2"]);
  });

  test("tries again when there is no address", async () => {
    sessionWith(() => ((asked += 1) === 1 ? Promise.reject(new Error("offline")) : Promise.resolve("ws://anchor")));
    session.connect();
    await settle();
    expect(connections.at(-1)).toMatchObject({ state: "reconnecting", code: "client.no_url" });
    await vi.advanceTimersByTimeAsync(300);
    expect(FakeSocket.newest.url).toBe("ws://anchor");
  });

  test("opens nothing after it was closed", async () => {
    sessionWith(() => Promise.resolve("ws://anchor"));
    session.connect();
    session.close();
    await settle();
    expect(FakeSocket.all).toEqual([]);
  });
});
