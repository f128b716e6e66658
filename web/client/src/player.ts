/** Plays replies, and knows how much of them was heard. */
import playbackUrl from "./worklets/playback.worklet?worker&url";
import type { PlaybackCommand, PlaybackReport } from "./worklets/ports";
import type { Heard } from "./worklets/playback_line";

export interface PlayerOptions {
  /** Rate of the PCM that will be pushed, in hertz. */
  rateHz: number;
  /** Called about every 100 ms while a reply sounds, and when it has sounded. */
  onHeard: (heard: Heard) => void;
  /** Called when samples came too far ahead and were dropped. */
  onOverflow?: (samples: number) => void;
  /** The speaker's device id, where the browser lets one choose; the system's choice when absent. */
  deviceId?: string | undefined;
}

export class Player {
  readonly #context: AudioContext;
  readonly #node: AudioWorkletNode;
  #turnId: number | null = null;

  private constructor(context: AudioContext, { onHeard, onOverflow }: PlayerOptions) {
    this.#context = context;
    this.#node = new AudioWorkletNode(context, "playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }: MessageEvent<PlaybackReport>) => {
      if (data.kind === "heard") onHeard(data.heard);
      else onOverflow?.(data.samples);
    };
    this.#node.connect(context.destination);
  }

  /** Sound starts only when `wake` was called in a gesture, or the browser trusts the page already. */
  static async open(options: PlayerOptions): Promise<Player> {
    const context = new AudioContext({ sampleRate: options.rateHz, latencyHint: "interactive" });
    try {
      await context.audioWorklet.addModule(playbackUrl);
      const player = new Player(context, options);
      if (options.deviceId) await player.choose(options.deviceId);
      return player;
    } catch (error) {
      await context.close();
      throw error;
    }
  }

  /** Browsers start sound only at a gesture; calling this in one is enough. */
  async wake(): Promise<void> {
    await this.#context.resume();
  }

  /** Whether the browser lets a page choose the speaker. */
  static get choosable(): boolean {
    return "setSinkId" in AudioContext.prototype;
  }

  /** Plays through another device; rejects with the browser's error when it is not there. */
  async choose(deviceId: string): Promise<void> {
    const context = this.#context as AudioContext & { setSinkId?: (id: string) => Promise<void> };
    await context.setSinkId?.(deviceId);
  }

  /** What is pushed from here on belongs to this reply, at this offset. */
  place(turnId: number, offsetMs: number): void {
    this.#turnId = turnId;
    // Asked each time: it is known only once the sound card runs, and changes with the headphones.
    // Some browsers do not tell the output's.
    const { baseLatency, outputLatency = 0 } = this.#context as { baseLatency: number; outputLatency?: number };
    const latencyMs = (baseLatency + outputLatency) * 1000;
    this.#tell({ kind: "place", turnId, offsetMs, latencyMs });
  }

  /** Takes PCM16 of the reply that was placed. What comes after its stop was on its way then, and is dropped. */
  push(pcm: ArrayBuffer): void {
    if (this.#turnId !== null) this.#tell({ kind: "push", pcm }, [pcm]);
  }

  pause(turnId: number): void {
    if (turnId === this.#turnId) this.#tell({ kind: "pause" });
  }

  resume(turnId: number): void {
    if (turnId === this.#turnId) this.#tell({ kind: "resume" });
  }

  /** All audio of the reply was pushed. */
  end(turnId: number): void {
    if (turnId === this.#turnId) this.#tell({ kind: "end" });
  }

  stop(turnId: number): void {
    if (turnId === this.#turnId) this.silence();
  }

  /** Drops whatever there is to play. */
  silence(): void {
    this.#turnId = null;
    this.#tell({ kind: "stop" });
  }

  async close(): Promise<void> {
    this.#node.disconnect();
    await this.#context.close();
  }

  #tell(command: PlaybackCommand, transfer: Transferable[] = []): void {
    this.#node.port.postMessage(command, transfer);
  }
}
