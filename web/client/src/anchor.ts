/** `Anchor`: a session, a microphone and a player, connected. */
import type { ClientMessage, ServerMessage } from "./messages";
import { Microphone, MICROPHONE_HZ, type MicrophoneSettings } from "./microphone";
import { MicrophoneControl } from "./microphone_control";
import type { MicrophoneStatus } from "./microphone_machine";
import { Player } from "./player";
import { RecordingFeed } from "./recording";
import { type Connection, type ReplyReceived, Session, type SessionStart, type SocketUrl } from "./session";
import type { PlaybackReport } from "./worklets/jitter_buffer";

// Rate of the anchor's audio, in hertz, as in session.proto: the player may open before `session_started` arrives.
const REPLY_RATE_HZ = 24_000;
// The server sends at most two seconds ahead, which needs fewer commands than this. Later ones are dropped.
const MAX_PENDING_COMMANDS = 1000;

// What a state of the connection is to the microphone.
const MICROPHONE_EVENTS = {
  connecting: "connecting",
  open: "connected",
  reconnecting: "reconnecting",
  closed: "disconnected",
} as const satisfies Record<Connection["state"], string>;

export interface AnchorOptions {
  /** URL of `/ws/audio`: `socketUrl(location)` for the server that served the page; or a function that returns one. */
  url: SocketUrl;
  /** Language, voice, persona, patience, turn detection; all are optional. */
  start?: Omit<SessionStart, "sampleRateHz" | "reportsPlayback" | "takeOver">;
  /** Ticket of a conversation to resume. */
  ticket?: string;
  /**
   * For pages without sound: the server does not wait for playback reports. `startAudio`, `openMicrophone` and
   * `pressTalk` must not be called.
   */
  captionsOnly?: boolean;
  onMessage?: (message: ServerMessage) => void;
  onConnection?: (connection: Connection) => void;
  /** Called about every 100 ms while a reply plays. */
  onPlayback?: (report: PlaybackReport) => void;
  /** Gets the peak of each microphone frame, 0 to 1, every 20 ms while the microphone is on. */
  onLevel?: (peak: number) => void;
  /** Gets what the microphone's track is, on every change, before anything else hears of its cause. */
  onMicrophone?: (status: MicrophoneStatus) => void;
}

/**
/**
 * Gets both sides of a conversation as PCM16 mono. `atS` is when the last sample was captured or played, in seconds on a
 * clock of that side; where it goes back, a microphone or player was opened anew.
 */
export interface AnchorRecorder {
  /** The microphone, 16 kHz, silent while it is muted; nothing while it is closed. */
  onMicrophone: (pcm: ArrayBuffer, atS: number) => void;
  /** What is played, 24 kHz, silence included; nothing before the audio started. */
  onPlayed: (pcm: ArrayBuffer, atS: number) => void;
}

/**
 * A conversation with the server, from `connect` to `close`. The microphone is on between `openMicrophone` and
 * `closeMicrophone`, or between `pressTalk` and `releaseTalk`, and only while the session is open: whatever else happens,
 * its track is muted or stopped. Replies play after the first call of `openMicrophone`, `pressTalk` or `startAudio`, which
 * needs a user gesture.
 */
export class Anchor {
  readonly #options: AnchorOptions;
  readonly #session: Session;
  #player: Player | null = null;
  // Commands for the player, queued until it is open: a reply may begin earlier.
  #pendingCommands: ((player: Player) => void)[] = [];
  #playerPromise: Promise<Player> | null = null;
  readonly #microphone: MicrophoneControl;
  #recorder: AnchorRecorder | null = null;
  #recording: RecordingFeed | null = null;
  #onRecordingStopped: () => void = () => undefined;
  #outputDeviceId: string | undefined;
  // Position from the last `reply_audio`, and how much audio has arrived since.
  #replyPosition: { turnId: number; offsetMs: number } | undefined;
  #receivedBytes = 0;
  #lastReport: PlaybackReport | undefined;

  constructor(options: AnchorOptions) {
    this.#options = options;
    this.#session = new Session({
      url: options.url,
      start: { ...options.start, sampleRateHz: MICROPHONE_HZ, reportsPlayback: !options.captionsOnly },
      ...(options.ticket ? { ticket: options.ticket } : {}),
      onMessage: (message) => {
        this.#controlPlayback(message);
        options.onMessage?.(message);
      },
      onAudio: (pcm) => {
        this.#handleAudio(pcm);
      },
      onConnection: (connection) => {
        this.#microphone.handle({ kind: MICROPHONE_EVENTS[connection.state] });
        if (connection.state === "closed") this.#clearPlayback();
        options.onConnection?.(connection);
      },
      received: () => (this.#player && this.#replyPosition ? this.#receivedReply(this.#replyPosition) : undefined),
      played: () => this.#lastReport && { turnId: this.#lastReport.turnId, playedMs: this.#lastReport.playedMs },
    });
    this.#microphone = new MicrophoneControl({
      open: (microphone) => Microphone.open(microphone),
      sendAudio: (pcm) => {
        // A recording is heard in its place.
        if (!this.#recording) this.#session.sendAudio(pcm);
      },
      dropAudio: () => {
        this.#session.dropAudio();
      },
      endTurn: () => {
        this.#session.send({ case: "endTurn", value: {} });
      },
      onCaptured: (pcm, atS) => this.#recorder?.onMicrophone(pcm.slice(0), atS),
      onStatus: (status) => options.onMicrophone?.(status),
      onLevel: (peak) => {
        if (!this.#recording) options.onLevel?.(peak);
      },
    });
  }

  get ticket(): string {
    return this.#session.ticket;
  }

  /** Settings of the open microphone, muted or not; null while there is none. */
  get microphone(): MicrophoneSettings | null {
    return this.#microphone.settings;
  }

  /** What the microphone's track is. */
  get microphoneStatus(): MicrophoneStatus {
    return this.#microphone.status;
  }

  /** Opens the session. `takeOver` takes the conversation from another client that has it open. */
  connect(takeOver = false): void {
    this.#session.connect(takeOver);
  }

  /** Sends a message. Returns false, without queueing it, when the session is not open. */
  send(message: ClientMessage): boolean {
    return this.#session.send(message);
  }

  /** Opens the player and starts its audio. Browsers require a user gesture. */
  async startAudio(): Promise<void> {
    this.#playerPromise ??= Player.open({
      rateHz: REPLY_RATE_HZ,
      onPlayback: (report) => {
        this.#handlePlayback(report);
      },
      deviceId: this.#outputDeviceId,
    });
    try {
      const player = await this.#playerPromise;
      if (this.#recorder && player !== this.#player) this.#recordPlayer(player, this.#recorder);
      this.#player = player;
    } catch (error) {
      this.#playerPromise = null;
      throw error;
    }
    for (const command of this.#pendingCommands.splice(0)) command(this.#player);
    await this.#player.startAudio();
  }

  /**
   * Opens the microphone, or switches to another device, and starts playback. Browsers require a user gesture. Resolves
   * once it is open, or was closed before that. Rejects as `Microphone.open` does, or with an `InvalidStateError` before
   * `connect` and after the session was closed.
   */
  async openMicrophone(deviceId?: string): Promise<void> {
    const audioStarted = this.startAudio();
    await settleBoth(this.#microphone.open(deviceId), audioStarted);
  }

  /** Hands both sides of the conversation to `recorder` from now on; null ends that. */
  record(recorder: AnchorRecorder | null): void {
    this.#recorder = recorder;
    if (this.#player) this.#recordPlayer(this.#player, recorder);
  }

  /** Closes the microphone: its track is stopped before this returns, and the device is released when it resolves. */
  async closeMicrophone(): Promise<void> {
    await this.#microphone.close();
  }

  /**
   * Presses the talk button (push-to-talk): the microphone is on until `releaseTalk`, and its device stays open, muted,
   * until `closeMicrophone`. Starts playback, resolves and rejects as `openMicrophone` does.
   */
  async pressTalk(deviceId?: string): Promise<void> {
    const audioStarted = this.startAudio();
    await settleBoth(this.#microphone.press(deviceId), audioStarted);
  }

  /**
   * Releases the talk button: the microphone is muted a quarter of a second later, and the turn ends. A press shorter
   * than that, or released before the device was open, sends nothing.
   */
  releaseTalk(): void {
    this.#microphone.handle({ kind: "released" });
  }

  /**
   * Sends a recording as if it were spoken, at the speed of speech: PCM16 mono at `MICROPHONE_HZ`. Nothing of the
   * microphone is sent meanwhile. Resolves to true at its end, to false when it was stopped, or another one began.
   */
  playRecording(samples: Int16Array): Promise<boolean> {
    this.stopRecording();
    return new Promise((resolve) => {
      this.#onRecordingStopped = () => {
        resolve(false);
      };
      this.#recording = new RecordingFeed({
        samples,
        onFrame: (pcm, peak) => {
          this.#session.sendAudio(pcm);
          this.#options.onLevel?.(peak);
        },
        onEnd: () => {
          this.#recording = null;
          resolve(true);
        },
      });
    });
  }

  /** Stops `playRecording`; nothing while none plays. */
  stopRecording(): void {
    if (!this.#recording) return;
    this.#recording.stop();
    this.#recording = null;
    this.#onRecordingStopped();
  }

  /** Plays through another device; rejects with the browser's `DOMException` when it is not available. */
  async setOutputDevice(deviceId: string): Promise<void> {
    this.#outputDeviceId = deviceId;
    await this.#player?.setOutputDevice(deviceId);
  }

  /** Ends the session and releases all devices. */
  async close(): Promise<void> {
    this.stopRecording();
    this.#session.close();
    await this.closeMicrophone();
    const player = await this.#playerPromise;
    this.#playerPromise = null;
    this.#player = null;
    await player?.close();
  }

  #recordPlayer(player: Player, recorder: AnchorRecorder | null): void {
    player.record(
      recorder &&
        (({ pcm, atS }) => {
          recorder.onPlayed(pcm, atS);
        }),
    );
  }

  #controlPlayback(message: ServerMessage): void {
    switch (message.case) {
      case "replyAudio":
        this.#replyPosition = { turnId: message.value.turnId, offsetMs: message.value.offsetMs };
        this.#receivedBytes = 0;
        this.#pendingCommands = [];
        this.#withPlayer((player) => {
          player.setPosition(message.value.turnId, message.value.offsetMs);
        });
        // Reports made while disconnected were lost. The server needs the last one before it sends more audio.
        if (this.#lastReport?.turnId === message.value.turnId) this.#sendProgress(this.#lastReport);
        break;
      case "playbackPause":
        this.#withPlayer((player) => {
          player.pause(message.value.turnId);
        });
        break;
      case "playbackResume":
        this.#withPlayer((player) => {
          player.resume(message.value.turnId);
        });
        break;
      case "playbackStop":
        // Audio that follows for the same turn is another reply's: the turn was reopened.
        this.#lastReport = undefined;
        this.#withPlayer((player) => {
          player.stop(message.value.turnId);
        });
        break;
      case "replyAudioEnded":
        this.#withPlayer((player) => {
          player.endReply(message.value.turnId);
        });
        break;
      default:
        // No other message concerns the player.
        break;
    }
  }

  #handleAudio(pcm: ArrayBuffer): void {
    this.#receivedBytes += pcm.byteLength;
    this.#withPlayer((player) => {
      player.pushAudio(pcm);
    });
  }

  #withPlayer(command: (player: Player) => void): void {
    if (this.#player) command(this.#player);
    else if (this.#pendingCommands.length < MAX_PENDING_COMMANDS && !this.#options.captionsOnly)
      this.#pendingCommands.push(command);
  }

  #clearPlayback(): void {
    this.#pendingCommands = [];
    this.#player?.clear();
  }

  #receivedReply({ turnId, offsetMs }: { turnId: number; offsetMs: number }): ReplyReceived {
    return { turnId, offsetMs: offsetMs + Math.floor((this.#receivedBytes * 500) / REPLY_RATE_HZ) };
  }

  #handlePlayback(report: PlaybackReport): void {
    this.#lastReport = report;
    this.#sendProgress(report);
    this.#options.onPlayback?.(report);
  }

  #sendProgress({ turnId, playedMs }: PlaybackReport): void {
    this.#session.send({ case: "playbackProgress", value: { turnId, playedMs } });
  }
}

/** Waits for both, and rejects with the first failure only then: neither is left behind. */
async function settleBoth(...promises: Promise<void>[]): Promise<void> {
  for (const settled of await Promise.allSettled(promises)) if (settled.status === "rejected") throw settled.reason;
}
