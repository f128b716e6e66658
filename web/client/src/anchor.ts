/** An anchor to talk with: a session, a microphone and a player, joined. */
import type { ClientMessage, ServerMessage } from "./messages";
import { Microphone, MICROPHONE_HZ, type MicrophoneTraits } from "./microphone";
import { Player } from "./player";
import { type Connection, type ReplyReceived, Session, type SessionStart } from "./session";
import type { Heard } from "./worklets/playback_line";

// What the server sends at, should the player be wanted before it has told.
const ANCHOR_HZ = 24_000;
// The server sends two seconds ahead, so it comes to no more; what does is dropped.
const MAX_EARLY = 1000;

export interface AnchorOptions {
  /** Of `/ws/audio`: `socketUrl(location)` for the server that the page comes from. */
  url: string;
  /** Language, voice, persona, patience, who ends turns; all may be left out. */
  start?: Omit<SessionStart, "sampleRateHz" | "reportsPlayback" | "takeOver">;
  /** Ticket of a conversation to go on with. */
  ticket?: string;
  /** Where there can be no sound: replies are not waited for to be heard, and `wake` and `listen` are not for use. */
  captionsOnly?: boolean;
  onMessage?: (message: ServerMessage) => void;
  onConnection?: (connection: Connection) => void;
  /** Called about every 100 ms while a reply sounds. */
  onHeard?: (heard: Heard) => void;
  /** The microphone's loudest sample, 0 to 1, every 20 ms. */
  onLevel?: (peak: number) => void;
  /** The microphone went away by itself. */
  onMicrophoneLost?: () => void;
}

/**
 * Talks with the server as long as it is not closed. The microphone is open between `listen` and `mute`; replies sound
 * from the first `listen` or `wake` on, which must be called in a gesture.
 */
export class Anchor {
  readonly #options: AnchorOptions;
  readonly #session: Session;
  #player: Player | null = null;
  // What the player is to do as soon as it is open: the first words may come before it is.
  #early: ((player: Player) => void)[] = [];
  #opening: Promise<Player> | null = null;
  #microphone: Microphone | null = null;
  #held = false;
  #speakerId: string | undefined;
  // Where the reply under way was placed, and how much of it came since.
  #placed: { turnId: number; offsetMs: number } | undefined;
  #receivedBytes = 0;
  #heard: Heard | undefined;

  constructor(options: AnchorOptions) {
    this.#options = options;
    this.#session = new Session({
      url: options.url,
      start: { ...options.start, sampleRateHz: MICROPHONE_HZ, reportsPlayback: !options.captionsOnly },
      ...(options.ticket ? { ticket: options.ticket } : {}),
      onMessage: (message) => {
        this.#obey(message);
        options.onMessage?.(message);
      },
      onAudio: (pcm) => {
        this.#hear(pcm);
      },
      onConnection: (connection) => {
        if (connection.state === "closed") this.#silence();
        options.onConnection?.(connection);
      },
      received: () => (this.#player && this.#placed ? this.#received(this.#placed) : undefined),
    });
  }

  get ticket(): string {
    return this.#session.ticket;
  }

  /** Of the open microphone; null while there is none. */
  get microphone(): MicrophoneTraits | null {
    return this.#microphone?.traits ?? null;
  }

  /** Opens the session, with `takeOver` also when another client has the conversation open. */
  connect(takeOver = false): void {
    this.#session.connect(takeOver);
  }

  /** Says something. Whether it went out. */
  send(message: ClientMessage): boolean {
    return this.#session.send(message);
  }

  /** Lets replies sound; call it in a gesture. */
  async wake(): Promise<void> {
    this.#opening ??= Player.open({
      rateHz: ANCHOR_HZ,
      onHeard: (heard) => {
        this.#report(heard);
      },
      deviceId: this.#speakerId,
    });
    try {
      this.#player = await this.#opening;
    } catch (error) {
      this.#opening = null;
      throw error;
    }
    for (const command of this.#early.splice(0)) command(this.#player);
    await this.#player.wake();
  }

  /** Opens the microphone, or another one; call it in a gesture. Rejects as `Microphone.open` does. */
  async listen(deviceId?: string): Promise<void> {
    const waking = this.wake();
    const microphone = await Microphone.open({
      deviceId,
      onFrame: (pcm, peak) => {
        if (!this.#held) this.#session.sendAudio(pcm);
        this.#options.onLevel?.(peak);
      },
      onLost: () => {
        void this.mute();
        this.#options.onMicrophoneLost?.();
      },
    });
    await this.mute();
    this.#microphone = microphone;
    await waking;
  }

  /** Whether what the open microphone hears stays here, for push-to-talk; its level is told all the same. */
  hold(held: boolean): void {
    this.#held = held;
  }

  /** Closes the microphone. */
  async mute(): Promise<void> {
    const microphone = this.#microphone;
    this.#microphone = null;
    await microphone?.close();
  }

  /** Plays through another device; rejects when it is not there. */
  async speakThrough(deviceId: string): Promise<void> {
    this.#speakerId = deviceId;
    await this.#player?.choose(deviceId);
  }

  /** Ends the session and lets all devices go. */
  async close(): Promise<void> {
    this.#session.close();
    await this.mute();
    const player = await this.#opening;
    this.#opening = null;
    this.#player = null;
    await player?.close();
  }

  #obey(message: ServerMessage): void {
    switch (message.case) {
      case "replyAudio":
        this.#placed = { turnId: message.value.turnId, offsetMs: message.value.offsetMs };
        this.#receivedBytes = 0;
        this.#early = [];
        this.#direct((player) => {
          player.place(message.value.turnId, message.value.offsetMs);
        });
        // What was heard while the line was down could not be told; the server waits for it before it sends more.
        if (this.#heard?.turnId === message.value.turnId) this.#tellHeard(this.#heard);
        break;
      case "playbackPause":
        this.#direct((player) => {
          player.pause(message.value.turnId);
        });
        break;
      case "playbackResume":
        this.#direct((player) => {
          player.resume(message.value.turnId);
        });
        break;
      case "playbackStop":
        this.#direct((player) => {
          player.stop(message.value.turnId);
        });
        break;
      case "replyAudioEnded":
        this.#direct((player) => {
          player.end(message.value.turnId);
        });
        break;
      default:
        // All else is for people, not for devices.
        break;
    }
  }

  #hear(pcm: ArrayBuffer): void {
    this.#receivedBytes += pcm.byteLength;
    this.#direct((player) => {
      player.push(pcm);
    });
  }

  #direct(command: (player: Player) => void): void {
    if (this.#player) command(this.#player);
    else if (this.#early.length < MAX_EARLY && !this.#options.captionsOnly) this.#early.push(command);
  }

  #silence(): void {
    this.#early = [];
    this.#player?.silence();
  }

  #received({ turnId, offsetMs }: { turnId: number; offsetMs: number }): ReplyReceived {
    return { turnId, offsetMs: offsetMs + Math.floor((this.#receivedBytes * 500) / ANCHOR_HZ) };
  }

  #report(heard: Heard): void {
    this.#heard = heard;
    this.#tellHeard(heard);
    this.#options.onHeard?.(heard);
  }

  #tellHeard({ turnId, playedMs }: Heard): void {
    this.#session.send({ case: "playbackProgress", value: { turnId, playedMs } });
  }
}
