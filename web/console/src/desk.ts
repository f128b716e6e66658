/** The desk: what the user does becomes commands to the anchor, what comes back becomes what the page shows. */
import {
  Anchor,
  type ClientMessage,
  type MicrophoneTraits,
  type ServerMessage,
  soundSupport,
  TurnDetection,
} from "@ai-anchor/client";
import { type ConversationEvent, reduce } from "./conversation";
import { LevelFeed } from "./level_feed";
import type { TalkMode } from "./phase";
import { microphoneAdvice } from "./plain_words";
import { type Preferences, remember, remembered, type Storage } from "./preferences";
import { type Conversation, INITIAL } from "./state";

const STATUS_EVERY_MS = 10_000;
// People let go of the button while the last sound is still under way through the microphone.
const RELEASE_TAIL_MS = 250;
// Shorter than any word: the button was clicked, not held.
const CLICK_MS = 250;

export interface Desk {
  readonly conversation: Conversation;
  readonly preferences: Preferences;
  /** Of the open microphone; null while there is none. */
  readonly traits: MicrophoneTraits | null;
}

export class AnchorDesk {
  /** Of the microphone. */
  readonly level = new LevelFeed();
  /** Of the anchor's voice. */
  readonly voice = new LevelFeed();
  readonly support = soundSupport();
  readonly #url: string;
  readonly #storage: Storage;
  readonly #listeners = new Set<() => void>();
  readonly #beganMs = performance.now();
  #desk: Desk;
  #anchor: Anchor;
  #pressedMs: number | null = null;
  #status: ReturnType<typeof setInterval> | undefined;

  constructor(url: string, storage: Storage, asked: Partial<Preferences>) {
    this.#url = url;
    this.#storage = storage;
    this.#desk = { conversation: INITIAL, preferences: { ...remembered(storage), ...asked }, traits: null };
    this.#anchor = this.#newAnchor();
  }

  get desk(): Desk {
    return this.#desk;
  }

  /** Calls `listener` after every change until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Opens the session. Replies sound from the first gesture on. */
  open(takeOver = false): void {
    this.#anchor.connect(takeOver);
    this.#status ??= setInterval(() => {
      this.send({ case: "requestStatus", value: {} });
    }, STATUS_EVERY_MS);
    // A conversation with a past may come back in the middle of a reply, which waits in the player for the gesture.
    if (this.support === "ready" && this.#desk.preferences.ticket) void this.#wake();
  }

  send(message: ClientMessage): boolean {
    return this.#anchor.send(message);
  }

  /** A gesture happened: sound is allowed from here on. */
  gesture(): void {
    if (this.support === "ready" && !this.#desk.conversation.sound) void this.#wake();
  }

  /** Opens the microphone; call it in a gesture. */
  async listen(): Promise<void> {
    if (this.#desk.conversation.microphone === "starting") return;
    this.#dispatch({ kind: "microphone", microphone: "starting", notice: "" });
    const anchor = this.#anchor;
    try {
      anchor.hold(this.#desk.preferences.mode === "push" && this.#pressedMs === null);
      await anchor.listen(this.#desk.preferences.microphone || undefined);
    } catch (error) {
      this.#dispatch({ kind: "microphone", microphone: "off", notice: microphoneAdvice(error) });
      return;
    }
    this.#update({ traits: anchor.microphone });
    this.#dispatch({ kind: "microphone", microphone: "on" });
  }

  /** Closes the microphone. */
  async mute(notice?: string): Promise<void> {
    await this.#anchor.mute();
    const { conversation, preferences } = this.#desk;
    // No frames follow that would show a silence: say that the turn is over.
    const unfinished = conversation.user === "speaking" || conversation.turns.at(-1)?.provisional;
    if (preferences.mode === "open" && unfinished) this.send({ case: "endTurn", value: {} });
    this.level.clear();
    this.#update({ traits: null });
    this.#dispatch({ kind: "microphone", microphone: "off", ...(notice === undefined ? {} : { notice }) });
  }

  /** The button to talk went down: what the microphone hears goes out until `release`. */
  async press(): Promise<void> {
    if (this.#pressedMs !== null) return;
    this.#pressedMs = performance.now();
    if (this.#desk.conversation.anchor !== "idle") this.send({ case: "interrupt", value: {} });
    if (this.#desk.conversation.microphone === "off") await this.listen();
    if (this.#isReleased() || this.#desk.conversation.microphone !== "on") return;
    this.#anchor.hold(false);
    this.#dispatch({ kind: "held", held: true });
  }

  async release(): Promise<void> {
    if (this.#pressedMs === null) return;
    const heldMs = performance.now() - this.#pressedMs;
    this.#pressedMs = null;
    if (!this.#desk.conversation.held) return;
    this.#dispatch({ kind: "held", held: false });
    if (heldMs < CLICK_MS) this.#dispatch({ kind: "notice", notice: "Hold the button while you speak." });
    const anchor = this.#anchor;
    await new Promise((done) => setTimeout(done, RELEASE_TAIL_MS));
    if (!this.#isReleased() || anchor !== this.#anchor) return;
    anchor.hold(true);
    anchor.send({ case: "endTurn", value: {} });
  }

  /** Says something in writing; call it in a gesture. Whether it went out. */
  write(text: string): boolean {
    this.gesture();
    return this.send({ case: "textInput", value: { text } });
  }

  /** Changes what is remembered; a change of mode opens the session anew, with the same conversation. */
  async prefer(change: Partial<Preferences>): Promise<void> {
    const before = this.#desk.preferences;
    const preferences = { ...before, ...change };
    remember(this.#storage, preferences);
    this.#update({ preferences });
    const { microphone } = this.#desk.conversation;
    if (preferences.mode !== before.mode) await this.#reopen(preferences.mode);
    else if (preferences.microphone !== before.microphone && microphone === "on") await this.listen();
    if (preferences.speaker !== before.speaker) await this.#speakThrough(preferences.speaker);
  }

  /** Forgets the conversation and begins another. */
  async beginAnew(): Promise<void> {
    await this.mute("");
    await this.#anchor.close();
    await this.prefer({ ticket: "" });
    this.#dispatch({ kind: "forgotten" });
    this.#anchor = this.#newAnchor();
    this.open();
  }

  // Who ends the turns is settled when a session opens.
  async #reopen(mode: TalkMode): Promise<void> {
    const listening = this.#desk.conversation.microphone === "on";
    const old = this.#anchor;
    this.#anchor = this.#newAnchor(old.ticket);
    await old.close();
    if (listening) this.#dispatch({ kind: "microphone", microphone: "off" });
    // The server may not have noticed yet that the old session is gone.
    this.open(old.ticket !== "");
    if (listening && mode === "open") await this.listen();
  }

  async #speakThrough(deviceId: string): Promise<void> {
    try {
      await this.#anchor.speakThrough(deviceId);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#dispatch({ kind: "notice", notice: "That loudspeaker cannot be used. Choose another." });
    }
  }

  async #wake(): Promise<void> {
    try {
      await this.#anchor.wake();
      this.#dispatch({ kind: "sound" });
    } catch (error) {
      this.#dispatch({ kind: "notice", notice: microphoneAdvice(error) });
    }
  }

  #newAnchor(ticket = this.#desk.preferences.ticket): Anchor {
    const { language, voice, persona, patience, mode, speaker } = this.#desk.preferences;
    const turnDetection = mode === "push" ? TurnDetection.MANUAL : TurnDetection.AUTOMATIC;
    const own = (event: () => void) => {
      if (anchor === this.#anchor) event();
    };
    const anchor: Anchor = new Anchor({
      url: this.#url,
      start: { language, voice, persona, turnDetection, ...(patience ? { patience } : {}) },
      ticket,
      captionsOnly: this.support !== "ready",
      onMessage: (message) => {
        own(() => {
          this.#receive(message);
        });
      },
      onConnection: (connection) => {
        own(() => {
          this.#dispatch({ kind: "connection", connection });
        });
      },
      onHeard: ({ turnId, playedMs, peak }) => {
        own(() => {
          this.voice.push(peak);
          this.#dispatch({ kind: "heard", turnId, playedMs, atMs: this.#nowMs() });
        });
      },
      onLevel: (peak) => {
        this.level.push(peak);
      },
      onMicrophoneLost: () => {
        void this.mute("The microphone was unplugged.");
      },
    });
    if (speaker) void anchor.speakThrough(speaker);
    return anchor;
  }

  #receive(message: ServerMessage): void {
    this.#dispatch({ kind: "message", message, atMs: this.#nowMs() });
    if (message.case !== "sessionStarted") return;
    void this.prefer({ ticket: message.value.ticket });
    this.send({ case: "requestStatus", value: {} });
  }

  #isReleased(): boolean {
    return this.#pressedMs === null;
  }

  #nowMs(): number {
    return performance.now() - this.#beganMs;
  }

  #dispatch(event: ConversationEvent): void {
    this.#update({ conversation: reduce(this.#desk.conversation, event) });
  }

  #update(change: Partial<Desk>): void {
    this.#desk = { ...this.#desk, ...change };
    for (const listener of this.#listeners) listener();
  }
}
