/** `Player`: plays replies and reports how much of them was heard. */
import type { PlaybackReport } from "./worklets/jitter_buffer";
import playbackUrl from "./worklets/playback.worklet?worker&url";
import type { PlaybackCommand, PlaybackEvent, PlayedAudio } from "./worklets/worklet_messages";

export interface PlayerOptions {
  /** Sample rate of the pushed PCM, in hertz. */
  rateHz: number;
  /** Called about every 100 ms while a reply plays, and at its end. */
  onPlayback: (report: PlaybackReport) => void;
  /** Called when the buffer was full; gets the number of samples dropped. */
  onOverflow?: (samples: number) => void;
  /** Id of the output device, where `Player.canSelectOutput`; the system's default when absent. */
  deviceId?: string | undefined;
}

/** An output device that plays one reply at a time; `close` releases it. */
export class Player {
  readonly #context: AudioContext;
  readonly #node: AudioWorkletNode;
  #turnId: number | null = null;
  #onPlayed: ((played: PlayedAudio) => void) | null = null;

  private constructor(context: AudioContext, { onPlayback, onOverflow }: PlayerOptions) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }: MessageEvent<PlaybackEvent>) => {
      if (data.kind === "playback") onPlayback(data.report);
      else if (data.kind === "played") this.#onPlayed?.(data);
      else onOverflow?.(data.samples);
    };
    this.#node.connect(context.destination);
  }

  /**
   * Opens a player. Its audio is silent until `startAudio` is called in a user gesture, unless the browser already
   * allows the page to autoplay.
   */
  static async open(options: PlayerOptions): Promise<Player> {
    const context = new AudioContext({ sampleRate: options.rateHz, latencyHint: "interactive" });
    try {
      await context.audioWorklet.addModule(playbackUrl);
      const player = new Player(context, options);
      if (options.deviceId) await player.setOutputDevice(options.deviceId);
      return player;
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  /** Starts the audio context. Browsers require a user gesture. */
  async startAudio(): Promise<void> {
    await this.#context.resume();
  }

  /** Whether the browser lets a page select the output device. */
  static get canSelectOutput(): boolean {
    return "setSinkId" in AudioContext.prototype;
  }

  /** Plays through another device; rejects with the browser's `DOMException` when it is not available. */
  async setOutputDevice(deviceId: string): Promise<void> {
    const context = this.#context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
    await context.setSinkId?.(deviceId);
  }

  /** Sets the reply, and the offset in it, of the audio pushed next. Another reply's audio is dropped. */
  setPosition(turnId: number, offsetMs: number): void {
    this.#turnId = turnId;
    // Read each time: the latency is known once the output runs, and changes with the device. Some browsers do not
    // report `outputLatency`.
    const { baseLatency, outputLatency = 0 } = this.#context as { baseLatency: number; outputLatency?: number };
    const latencyMs = (baseLatency + outputLatency) * 1000;
    this.#post({ kind: "setPosition", turnId, offsetMs, latencyMs });
  }

  /** Appends PCM16 to the current reply. Audio that arrives after a stop was already in transit, and is dropped. */
  pushAudio(pcm: ArrayBuffer): void {
    if (this.#turnId !== null) this.#post({ kind: "push", pcm }, [pcm]);
  }

  pause(turnId: number): void {
    if (turnId === this.#turnId) this.#post({ kind: "pause" });
  }

  resume(turnId: number): void {
    if (turnId === this.#turnId) this.#post({ kind: "resume" });
  }

  /** Marks the end of the reply: all of its audio has been pushed. */
  endReply(turnId: number): void {
    if (turnId === this.#turnId) this.#post({ kind: "endReply" });
  }

  stop(turnId: number): void {
    if (turnId === this.#turnId) this.clear();
  }

  /** Fades out and drops all buffered audio. */
  clear(): void {
    this.#turnId = null;
    this.#post({ kind: "stop" });
  }

  /** Gets all that is played from now on, silence included, in pieces of 100 ms; null ends that. */
  record(onPlayed: ((played: PlayedAudio) => void) | null): void {
    this.#onPlayed = onPlayed;
    this.#post({ kind: "record", on: onPlayed !== null });
  }

  async close(): Promise<void> {
    this.#node.disconnect();
    await this.#context.close();
  }

  #post(command: PlaybackCommand, transfer: Transferable[] = []): void {
    this.#node.port.postMessage(command, transfer);
  }
}
