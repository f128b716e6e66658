// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { MicrophoneOptions } from "../src/microphone";
import { MicrophoneControl, type OpenMicrophone } from "../src/microphone_control";
import type { MicrophoneStatus } from "../src/microphone_machine";

/** A device that the test grants, mutes and unplugs. */
class FakeDevice implements OpenMicrophone {
  readonly settings = { label: "fake", deviceId: "1", echoCancellation: true, sampleRateHz: 48_000 };
  isSystemMuted = false;
  isMuted: boolean;
  isStopped = false;

  constructor(readonly options: MicrophoneOptions) {
    this.isMuted = options.muted ?? false;
  }
  setMuted(muted: boolean): void {
    this.isMuted = muted;
  }
  close(): Promise<void> {
    this.isStopped = true;
    return Promise.resolve();
  }
  /** Captures `count` frames, 20 ms apart, each holding its number. */
  async capture(count: number, from = 0): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      await vi.advanceTimersByTimeAsync(20);
      this.options.onFrame(new Int16Array([from + index]).buffer, 0.5, index / 50);
    }
  }
}

interface Request {
  options: MicrophoneOptions;
  grant: () => Promise<FakeDevice>;
  refuse: (error: Error) => Promise<void>;
}

let requests: Request[];
let sent: number[];
let captured: number[];
let done: string[];
let states: MicrophoneStatus[];
let levels: number;
let control: MicrophoneControl;
const settle = () => vi.advanceTimersByTimeAsync(0);
const request = (index = -1): Request => requests.at(index) as Request;
const shown = () => states.map(({ state, reason }) => (reason ? `${state}:${reason}` : state));

beforeEach(() => {
  vi.useFakeTimers();
  [requests, sent, captured, done, states, levels] = [[], [], [], [], [], 0];
  control = new MicrophoneControl({
    open: (options) =>
      new Promise((resolve, reject) => {
        requests.push({
          options,
          grant: async () => {
            const device = new FakeDevice(options);
            resolve(device);
            await settle();
            return device;
          },
          refuse: async (error) => {
            reject(error);
            await settle();
          },
        });
      }),
    sendAudio: (pcm) => sent.push(new Int16Array(pcm)[0] as number),
    dropAudio: () => done.push("dropAudio"),
    endTurn: () => done.push("endTurn"),
    onCaptured: (pcm) => captured.push(new Int16Array(pcm)[0] as number),
    onStatus: (status) => states.push(status),
    onLevel: () => (levels += 1),
  });
  control.handle({ kind: "connecting" });
  control.handle({ kind: "connected" });
});

afterEach(async () => {
  await control.close();
  vi.useRealTimers();
});

describe("an open microphone", () => {
  test("is opened muted, sends its frames, and is stopped when it closes", async () => {
    const opened = control.open();
    expect(request().options.muted).toBe(true);
    const device = await request().grant();
    await opened;
    expect(device.isMuted).toBe(false);
    await device.capture(3);
    expect([sent, levels]).toEqual([[0, 1, 2], 3]);
    expect(captured).toEqual(sent);
    const closing = control.close();
    expect(device.isStopped).toBe(true);
    await closing;
    await device.capture(1);
    expect(sent).toHaveLength(3);
    expect(shown()).toEqual(["starting", "on", "off"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that was closed before the permission came is stopped when it comes", async () => {
    const opened = control.open();
    await control.close();
    expect(request().options.signal?.aborted).toBe(true);
    const late = await request().grant();
    await opened;
    expect(late.isStopped).toBe(true);
    await late.capture(1);
    expect(sent).toEqual([]);
    expect(shown()).toEqual(["starting", "off"]);
  });

  test("that was closed and opened again takes the second answer only", async () => {
    void control.open();
    await control.close();
    void control.open();
    const late = await request(0).grant();
    const device = await request(1).grant();
    expect([late.isStopped, device.isStopped]).toEqual([true, false]);
    await late.capture(1, 100);
    await device.capture(1);
    expect(sent).toEqual([0]);
  });

  test("that is refused rejects, and may be asked for again", async () => {
    const refused = expect(control.open()).rejects.toThrow("no");
    await request().refuse(new DOMException("no", "NotAllowedError"));
    await refused;
    expect(shown()).toEqual(["starting", "off:refused"]);
    void control.open();
    await request().grant();
    expect(shown().at(-1)).toBe("on");
  });

  test("whose request was withdrawn does not reject", async () => {
    const opened = control.open();
    await control.close();
    await request().refuse(new DOMException("withdrawn", "AbortError"));
    await expect(opened).resolves.toBeUndefined();
  });

  test("switches to another device, and stops the first one before", async () => {
    void control.open("a");
    const first = await request().grant();
    void control.open("b");
    expect([first.isStopped, request().options.deviceId]).toEqual([true, "b"]);
    await request().grant();
    expect(shown()).toEqual(["starting", "on", "starting", "on"]);
  });

  test("is not to be had while the session is closed", async () => {
    control.handle({ kind: "disconnected" });
    await expect(control.open()).rejects.toMatchObject({ name: "InvalidStateError" });
    expect(requests).toEqual([]);
  });
});

describe("the device", () => {
  const open = async (): Promise<FakeDevice> => {
    void control.open();
    return request().grant();
  };

  test("that disappears is told", async () => {
    const device = await open();
    device.options.onLost();
    expect([shown().at(-1), device.isStopped, control.settings]).toEqual(["off:lost", true, null]);
  });

  test("that the system mutes is told, and sends nothing until it speaks again", async () => {
    const device = await open();
    device.options.onSystemMuted?.(true);
    await device.capture(1);
    expect([shown().at(-1), sent]).toEqual(["muted:system", []]);
    device.options.onSystemMuted?.(false);
    await device.capture(1);
    expect([shown().at(-1), sent]).toEqual(["on", [0]]);
  });

  test("is closed when the machine wakes up, before a frame is sent", async () => {
    const device = await open();
    await device.capture(2);
    vi.setSystemTime(Date.now() + 60_000);
    await device.capture(2);
    expect([shown().at(-1), device.isStopped, sent]).toEqual(["off:slept", true, [0, 1]]);
  });

  test.each(["pagehide", "freeze"])("is closed at `%s`", async (event) => {
    const device = await open();
    (event === "freeze" ? document : window).dispatchEvent(new Event(event));
    expect(device.isStopped).toBe(true);
  });

  test.each(["disconnected", "closed"] as const)("is stopped at once when the session or page is %s", async (kind) => {
    const device = await open();
    control.handle({ kind });
    expect(device.isStopped).toBe(true);
  });

  test("is muted two seconds after the connection was lost, and closed after a minute", async () => {
    const device = await open();
    control.handle({ kind: "reconnecting" });
    await device.capture(1);
    await vi.advanceTimersByTimeAsync(2000);
    expect([device.isMuted, shown().at(-1)]).toEqual([true, "muted:reconnecting"]);
    await device.capture(1);
    expect(sent).toEqual([0]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect([device.isStopped, shown().at(-1)]).toEqual([true, "off:offline"]);
  });
});

describe("push-to-talk", () => {
  test("sends a press from its first frame, but not before it counts", async () => {
    void control.press();
    const device = await request().grant();
    await device.capture(12);
    expect(sent).toEqual([]);
    await device.capture(3, 12);
    expect(sent).toEqual(Array.from({ length: 15 }, (_, index) => index));
    control.handle({ kind: "released" });
    await device.capture(5, 15);
    expect([sent.length, device.isMuted, done]).toEqual([20, false, []]);
    await vi.advanceTimersByTimeAsync(200);
    expect([device.isMuted, done]).toEqual([true, ["endTurn"]]);
    await device.capture(5);
    expect([sent.length, shown().at(-1)]).toEqual([20, "muted:released"]);
  });

  test("sends nothing of a tap, and keeps nothing of it for the next press", async () => {
    void control.press();
    const device = await request().grant();
    await device.capture(4, 100);
    control.handle({ kind: "released" });
    expect([device.isMuted, shown().at(-1)]).toEqual([true, "muted:tapped"]);
    await vi.advanceTimersByTimeAsync(1000);
    expect([sent, done]).toEqual([[], ["dropAudio"]]);
    void control.press();
    await device.capture(14);
    expect(sent[0]).toBe(0);
    expect(requests).toHaveLength(1);
  });

  test("stays muted when the button is up before the permission is given", async () => {
    void control.press();
    control.handle({ kind: "released" });
    await vi.advanceTimersByTimeAsync(3000);
    const device = await request().grant();
    await device.capture(50);
    expect([device.isMuted, sent, shown()]).toEqual([true, [], ["starting", "starting:tapped", "muted:tapped"]]);
  });

  test("is released when the page goes to the background", async () => {
    void control.press();
    const device = await request().grant();
    await device.capture(20);
    vi.spyOn(document, "visibilityState", "get").mockReturnValue("hidden");
    document.dispatchEvent(new Event("visibilitychange"));
    await vi.advanceTimersByTimeAsync(250);
    expect([device.isMuted, done]).toEqual([true, ["endTurn"]]);
    vi.restoreAllMocks();
  });
});
