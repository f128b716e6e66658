/** `MicrophoneControl`: runs the microphone's state machine on a real device, with timers and the events of the page. */
import type { Microphone, MicrophoneOptions, MicrophoneSettings } from "./microphone";
import {
  type Effect,
  INITIAL_MACHINE,
  isEnabled,
  isOn,
  type Machine,
  type MachineEvent,
  type MicrophoneStatus,
  statusOf,
  step,
  type Timer,
  TIMERS,
} from "./microphone_machine";

// A press that does not count yet lasts 250 ms, which is 13 frames. Older frames are dropped.
const MAX_HELD_BACK_FRAMES = 25;
// Frames arrive every 20 ms, also from a muted track. After such a gap on the wall clock, the machine or page has slept.
const SLEEP_MS = 10_000;

/** What the control needs of a `Microphone`. */
export type OpenMicrophone = Pick<Microphone, "settings" | "isSystemMuted" | "setMuted" | "close">;

export interface MicrophoneControlOptions {
  /** Opens a device: `Microphone.open`. */
  open: (options: MicrophoneOptions) => Promise<OpenMicrophone>;
  /** Sends 20 ms of PCM16 mono at 16 kHz. Called only while the track is on. */
  sendAudio: (pcm: ArrayBuffer) => void;
  /** Drops audio that waits for a connection. */
  dropAudio: () => void;
  endTurn: () => void;
  /** Called on every change of what the track is, with the settings of the open device. */
  onStatus: (status: MicrophoneStatus) => void;
  /** Gets each frame of the open device before it is sent, silence while it is muted; `atS` is as in `onFrame`. */
  onCaptured: (pcm: ArrayBuffer, atS: number) => void;
  /** Gets the peak of each frame, 0 to 1, while the track is on. */
  onLevel: (peak: number) => void;
}

/** The only place that opens, mutes and stops an anchor's microphone. */
export class MicrophoneControl {
  readonly #options: MicrophoneControlOptions;
  #machine: Machine = INITIAL_MACHINE;
  #status: MicrophoneStatus = statusOf(INITIAL_MACHINE);
  #microphone: OpenMicrophone | null = null;
  /** The answer to the newest request that was answered, until it is used or discarded. */
  #answer: OpenMicrophone | null = null;
  #deviceId = "";
  /** The device of the next request. */
  #wantedDeviceId = "";
  /** Withdraws the newest request. */
  #abort: AbortController | null = null;
  #opening: Promise<void> = Promise.resolve();
  #closing: Promise<void> = Promise.resolve();
  #heldBack: ArrayBuffer[] = [];
  #lastFrameAtMs = 0;
  readonly #timers = new Map<Timer, ReturnType<typeof setTimeout>>();

  constructor(options: MicrophoneControlOptions) {
    this.#options = options;
  }

  get status(): MicrophoneStatus {
    return this.#status;
  }

  /** Settings of the open device; null without one. */
  get settings(): MicrophoneSettings | null {
    return this.#microphone?.settings ?? null;
  }

  /**
   * Opens the microphone, or switches to another device. Resolves once it is open, or closed before that. Rejects with
   * the browser's `DOMException`, or an `InvalidStateError` while the session is closed.
   */
  open(deviceId = ""): Promise<void> {
    return this.#request("opened", deviceId);
  }

  /** Presses the talk button; opens a device as `open` does, if there is none. */
  press(deviceId = ""): Promise<void> {
    return this.#request("pressed", deviceId);
  }

  /** Handles everything but requests for a device. */
  handle(event: Exclude<MachineEvent, { kind: "opened" | "pressed" }>): void {
    this.#handle(event);
  }

  /** Closes the microphone; resolves once the device is released. Its track is stopped before this returns. */
  async close(): Promise<void> {
    this.#handle({ kind: "closed" });
    await this.#closing;
  }

  #request(kind: "opened" | "pressed", deviceId: string): Promise<void> {
    if (this.#machine.connection === "closed") {
      return Promise.reject(new DOMException("The session is closed: connect first.", "InvalidStateError"));
    }
    const otherDevice = this.#machine.device !== "none" && deviceId !== this.#deviceId;
    this.#wantedDeviceId = deviceId;
    this.#handle({ kind, otherDevice });
    return this.#opening;
  }

  #handle(event: MachineEvent): void {
    const { machine, effects } = step(this.#machine, event);
    this.#machine = machine;
    for (const effect of effects) this.#perform(effect);
    this.#microphone?.setMuted(!isEnabled(machine));
    this.#updateTimers();
    const status = statusOf(machine);
    if (status.state === this.#status.state && status.reason === this.#status.reason) return;
    this.#status = status;
    this.#options.onStatus(status);
  }

  #perform(effect: Effect): void {
    switch (effect) {
      case "openDevice":
        this.#deviceId = this.#wantedDeviceId;
        this.#opening = this.#openDevice(this.#machine.request);
        break;
      case "closeDevice":
        this.#closeDevice();
        break;
      case "useDevice":
        this.#microphone = this.#answer;
        this.#answer = null;
        this.#lastFrameAtMs = Date.now();
        break;
      case "discardDevice":
        void this.#answer?.close();
        this.#answer = null;
        break;
      case "sendHeldBack":
        for (const pcm of this.#heldBack.splice(0)) this.#options.sendAudio(pcm);
        break;
      case "dropAudio":
        this.#heldBack = [];
        this.#options.dropAudio();
        break;
      case "endTurn":
        this.#options.endTurn();
        break;
    }
  }

  async #openDevice(request: number): Promise<void> {
    const abort = new AbortController();
    this.#abort = abort;
    this.#watchPage(true);
    const ifCurrent = (handle: () => void) => {
      if (request === this.#machine.request && this.#machine.device === "open") handle();
    };
    try {
      const microphone = await this.#options.open({
        deviceId: this.#deviceId || undefined,
        muted: true,
        signal: abort.signal,
        onFrame: (pcm, peak, atS) => {
          ifCurrent(() => {
            this.#options.onCaptured(pcm, atS);
            this.#handleFrame(pcm, peak);
          });
        },
        onLost: () => {
          ifCurrent(() => {
            this.#handle({ kind: "deviceLost" });
          });
        },
        onSystemMuted: (muted) => {
          ifCurrent(() => {
            this.#handle({ kind: "systemMuted", muted });
          });
        },
      });
      this.#answer = microphone;
      this.#handle({ kind: "deviceOpened", request, systemMuted: microphone.isSystemMuted });
    } catch (error) {
      const isWithdrawn = abort.signal.aborted;
      this.#handle({ kind: "deviceRefused", request });
      // Whoever withdrew the request does not wait for its failure.
      if (!isWithdrawn) throw error;
    }
  }

  #closeDevice(): void {
    this.#abort?.abort();
    this.#abort = null;
    const microphone = this.#microphone;
    this.#microphone = null;
    this.#watchPage(false);
    // The track stops at once, its audio context later.
    if (microphone) this.#closing = microphone.close();
  }

  #handleFrame(pcm: ArrayBuffer, peak: number): void {
    const now = Date.now();
    const gapMs = now - this.#lastFrameAtMs;
    this.#lastFrameAtMs = now;
    if (gapMs > SLEEP_MS) this.#handle({ kind: "slept" });
    if (!isOn(this.#machine)) return;
    this.#options.onLevel(peak);
    if (this.#machine.wanted !== "pressed") {
      this.#options.sendAudio(pcm);
      return;
    }
    this.#heldBack.push(pcm);
    if (this.#heldBack.length > MAX_HELD_BACK_FRAMES) this.#heldBack.shift();
  }

  #updateTimers(): void {
    for (const name of Object.keys(TIMERS) as Timer[]) {
      const { ms, runs } = TIMERS[name];
      const running = this.#timers.get(name);
      if (runs(this.#machine) && running === undefined) {
        const fire = () => {
          this.#timers.delete(name);
          this.#handle({ kind: name });
        };
        this.#timers.set(name, setTimeout(fire, ms));
      } else if (!runs(this.#machine) && running !== undefined) {
        clearTimeout(running);
        this.#timers.delete(name);
      }
    }
  }

  #watchPage(watch: boolean): void {
    const change = watch ? "addEventListener" : "removeEventListener";
    window[change]("pagehide", this.#onPageHide);
    document[change]("freeze", this.#onFreeze);
    document[change]("visibilitychange", this.#onVisibilityChange);
  }

  readonly #onPageHide = (): void => {
    this.#handle({ kind: "pageHidden" });
  };

  // The browser stops the page's scripts: they could not close the microphone any more.
  readonly #onFreeze = (): void => {
    this.#handle({ kind: "slept" });
  };

  // The release of the button goes to the window in front.
  readonly #onVisibilityChange = (): void => {
    if (document.visibilityState === "hidden") this.#handle({ kind: "released" });
  };
}
