/** The console's store: turns user actions into commands for the anchor, and its events into the state to render. */
import {
  AdmissionState,
  Anchor,
  type ClientMessage,
  type MicrophoneSettings,
  type ServerMessage,
  soundSupport,
  TurnDetection,
} from "@ai-anchor/client";
import { admissionMessage, sayAloud } from "./admission";
import { type ConversationEvent, conversationReducer } from "./conversation_reducer";
import { type Conversation, INITIAL_CONVERSATION } from "./conversation_state";
import { microphoneErrorMessage } from "./error_messages";
import { EventLog } from "./event_log";
import { LevelFeed } from "./level";
import { NetworkFeed } from "./network";
import type { TalkMode } from "./phase";
import { loadPreferences, type Preferences, savePreferences, type Storage } from "./preferences";
import { switchSlot, trialMessages, type TrialValues, trialValues } from "./trial";

const STATUS_INTERVAL_MS = 10_000;
// Users release the button while their last sound is still in the microphone's pipeline.
const RELEASE_TAIL_MS = 250;
// A press shorter than any word: the button was clicked, not held.
const MAX_CLICK_MS = 250;

/** All state that the page renders. */
export interface ConsoleState {
  readonly conversation: Conversation;
  readonly preferences: Preferences;
  /** Settings of the open microphone; null while it is closed. */
  readonly microphoneSettings: MicrophoneSettings | null;
}

/** Holds the `ConsoleState` and one `Anchor`; `useStore` renders the page after each change. */
export class ConsoleStore {
  /** Peaks of the microphone. */
  readonly microphoneLevel = new LevelFeed();
  /** Peaks of the reply, as it plays. */
  readonly replyLevel = new LevelFeed();
  /** The probability of speech in the microphone audio, 0 to 1, while the monitor subscribes to it. */
  readonly speechProbability = new LevelFeed();
  readonly soundSupport = soundSupport();
  readonly eventLog = new EventLog();
  readonly network = new NetworkFeed();
  readonly #url: string;
  readonly #storage: Storage;
  readonly #listeners = new Set<() => void>();
  /** When the page's clock began, as Unix time in milliseconds. */
  readonly startedUnixMs = Date.now();
  readonly #startedAtMs = performance.now();
  #state: ConsoleState;
  #anchor: Anchor;
  #talkPressedAtMs: number | null = null;
  #statusTimer: ReturnType<typeof setInterval> | undefined;
  /** Counts recordings: only the newest one clears the sign. */
  #recordings = 0;
  /** When all of the recording that plays has been sent but its silence; null while none plays. */
  #recordingOverAtMs: number | null = null;

  constructor(url: string, storage: Storage, overrides: Partial<Preferences>) {
    this.#url = url;
    this.#storage = storage;
    this.#state = {
      conversation: INITIAL_CONVERSATION,
      preferences: { ...loadPreferences(storage), ...overrides },
      microphoneSettings: null,
    };
    this.#anchor = this.#createAnchor();
  }

  get state(): ConsoleState {
    return this.#state;
  }

  /** Calls `listener` after every change until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Opens the session. Replies play after the first user gesture. */
  connect(takeOver = false): void {
    this.#anchor.connect(takeOver);
    this.#statusTimer ??= setInterval(() => {
      this.send({ case: "requestStatus", value: {} });
    }, STATUS_INTERVAL_MS);
    // A resumed conversation may start in the middle of a reply: the player buffers it until the gesture.
    if (this.soundSupport === "ready" && this.#state.preferences.ticket) void this.#startAudio();
  }

  send(message: ClientMessage): boolean {
    return this.#anchor.send(message);
  }

  /** Starts audio, which browsers allow only in a user gesture. */
  handleUserGesture(): void {
    if (this.soundSupport === "ready" && !this.#state.conversation.audioStarted) void this.#startAudio();
  }

  /** Opens the microphone; call it in a user gesture. */
  async openMicrophone(): Promise<void> {
    if (this.#state.conversation.microphone === "starting") return;
    this.#dispatch({ kind: "microphone", microphone: "starting", notice: "" });
    const anchor = this.#anchor;
    try {
      anchor.setMuted(this.#state.preferences.mode === "push" && this.#talkPressedAtMs === null);
      await anchor.openMicrophone(this.#state.preferences.microphone || undefined);
    } catch (error) {
      this.#dispatch({ kind: "microphone", microphone: "off", notice: microphoneErrorMessage(error) });
      return;
    }
    this.#update({ microphoneSettings: anchor.microphone });
    this.#dispatch({ kind: "microphone", microphone: "on" });
  }

  /** Closes the microphone. `notice`, if given, replaces the shown notice. */
  async closeMicrophone(notice?: string): Promise<void> {
    await this.#anchor.closeMicrophone();
    const { conversation, preferences } = this.#state;
    // No more frames follow, so the server cannot detect the silence: end the turn explicitly.
    const unfinished = conversation.user === "speaking" || conversation.turns.at(-1)?.provisional;
    if (preferences.mode === "open" && unfinished) this.send({ case: "endTurn", value: {} });
    this.microphoneLevel.clear();
    this.#update({ microphoneSettings: null });
    this.#dispatch({ kind: "microphone", microphone: "off", ...(notice === undefined ? {} : { notice }) });
  }

  /** Handles the press of the talk button: sends microphone audio until `releaseTalk`. */
  async pressTalk(): Promise<void> {
    if (this.#talkPressedAtMs !== null) return;
    this.#talkPressedAtMs = performance.now();
    if (this.#state.conversation.anchor !== "idle") this.send({ case: "interrupt", value: {} });
    if (this.#state.conversation.microphone === "off") await this.openMicrophone();
    if (this.#isTalkReleased() || this.#state.conversation.microphone !== "on") return;
    this.#anchor.setMuted(false);
    this.#dispatch({ kind: "talkButton", held: true });
  }

  /** Handles the release of the talk button: ends the turn. */
  async releaseTalk(): Promise<void> {
    if (this.#talkPressedAtMs === null) return;
    const heldMs = performance.now() - this.#talkPressedAtMs;
    this.#talkPressedAtMs = null;
    if (!this.#state.conversation.talkHeld) return;
    this.#dispatch({ kind: "talkButton", held: false });
    if (heldMs < MAX_CLICK_MS) this.#dispatch({ kind: "notice", notice: "Hold the button while you speak." });
    const anchor = this.#anchor;
    await new Promise((done) => setTimeout(done, RELEASE_TAIL_MS));
    if (!this.#isTalkReleased() || anchor !== this.#anchor) return;
    anchor.setMuted(true);
    anchor.send({ case: "endTurn", value: {} });
  }

  /** Sends a written turn; call it in a user gesture. Returns false when the session is not open. */
  sendText(text: string): boolean {
    this.handleUserGesture();
    return this.send({ case: "textInput", value: { text } });
  }

  /**
   * Sends a recording as if it were spoken; `speechMs` is its length without the silence at its end. The turn ends as
   * spoken ones do, or with the recording when talking is push-to-talk.
   */
  async playRecording(name: string, samples: Int16Array, speechMs: number): Promise<void> {
    const anchor = this.#anchor;
    const isManual = this.#state.preferences.mode === "push";
    if (isManual && this.#state.conversation.anchor !== "idle") this.send({ case: "interrupt", value: {} });
    const recording = (this.#recordings += 1);
    this.#recordingOverAtMs = this.#nowMs() + speechMs;
    this.#dispatch({ kind: "recording", name });
    const isComplete = await anchor.playRecording(samples);
    if (recording !== this.#recordings) return;
    this.#recordingOverAtMs = null;
    this.#dispatch({ kind: "recording", name: "" });
    if (isComplete && isManual && anchor === this.#anchor) this.send({ case: "endTurn", value: {} });
  }

  /** Stops the recording that plays; what was heard of it is answered. */
  stopRecording(): void {
    this.#anchor.stopRecording();
    this.send({ case: "endTurn", value: {} });
  }

  /** Measures a round trip to the session; its result goes to `network`. Nothing while the session is not open. */
  ping(): void {
    const { roundTrips } = this.network;
    const pingId = roundTrips.begin(performance.now());
    if (!this.send({ case: "ping", value: { pingId } })) roundTrips.cancel(pingId);
  }

  /** Makes the session have these values, now in force in the trial's slot. */
  tryOut(values: TrialValues): void {
    for (const message of trialMessages(values)) this.send(message);
    void this.updatePreferences({
      patience: values.patience,
      bargeInStopMs: values.stopMs,
      bargeInMinWords: values.minWords,
    });
  }

  /** Brings the other of the two settings to try into force. */
  switchTrial(): void {
    const { settings, trial } = this.#state.conversation;
    if (!settings) return;
    const switched = switchSlot(trial, trialValues(settings));
    this.#dispatch({ kind: "trial", trial: switched.trial });
    this.tryOut(switched.values);
  }

  /** Changes and saves preferences. A change of talk mode reconnects with the same conversation. */
  async updatePreferences(change: Partial<Preferences>): Promise<void> {
    const before = this.#state.preferences;
    const preferences = { ...before, ...change };
    savePreferences(this.#storage, preferences);
    this.#update({ preferences });
    const { microphone } = this.#state.conversation;
    if (preferences.mode !== before.mode) await this.#reconnect(preferences.mode);
    else if (preferences.microphone !== before.microphone && microphone === "on") await this.openMicrophone();
    if (preferences.speaker !== before.speaker) await this.#setOutputDevice(preferences.speaker);
  }

  /** Drops the conversation and starts a new one. */
  async startNewConversation(): Promise<void> {
    await this.closeMicrophone("");
    await this.#anchor.close();
    await this.updatePreferences({ ticket: "" });
    this.#dispatch({ kind: "reset" });
    this.#anchor = this.#createAnchor();
    this.connect();
  }

  // Turn detection is fixed when a session opens, so a change of talk mode needs a new one.
  async #reconnect(mode: TalkMode): Promise<void> {
    const wasOpen = this.#state.conversation.microphone === "on";
    const old = this.#anchor;
    this.#anchor = this.#createAnchor(old.ticket);
    await old.close();
    if (wasOpen) this.#dispatch({ kind: "microphone", microphone: "off" });
    // The server may still count the old session as open.
    this.connect(old.ticket !== "");
    if (wasOpen && mode === "open") await this.openMicrophone();
  }

  async #setOutputDevice(deviceId: string): Promise<void> {
    try {
      await this.#anchor.setOutputDevice(deviceId);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      this.#dispatch({ kind: "notice", notice: "That loudspeaker cannot be used. Choose another." });
    }
  }

  async #startAudio(): Promise<void> {
    try {
      await this.#anchor.startAudio();
      this.#dispatch({ kind: "audioStarted" });
    } catch (error) {
      this.#dispatch({ kind: "notice", notice: microphoneErrorMessage(error) });
    }
  }

  #createAnchor(ticket = this.#state.preferences.ticket): Anchor {
    const { language, voice, persona, patience, bargeInStopMs, bargeInMinWords, mode, speaker } =
      this.#state.preferences;
    const turnDetection = mode === "push" ? TurnDetection.MANUAL : TurnDetection.AUTOMATIC;
    const ifCurrent = (handle: () => void) => {
      if (anchor === this.#anchor) handle();
    };
    const anchor: Anchor = new Anchor({
      url: this.#url,
      start: {
        language,
        voice,
        persona,
        turnDetection,
        waits: true,
        // 0 is the server's default.
        ...(patience ? { patience } : {}),
        ...(bargeInStopMs ? { bargeInStopMs } : {}),
        ...(bargeInMinWords ? { bargeInMinWords } : {}),
      },
      ticket,
      captionsOnly: this.soundSupport !== "ready",
      onMessage: (message) => {
        ifCurrent(() => {
          this.#handleMessage(message);
        });
      },
      onConnection: (connection) => {
        ifCurrent(() => {
          this.#dispatch({ kind: "connection", connection });
        });
      },
      onPlayback: (report) => {
        const { turnId, playedMs, peak } = report;
        ifCurrent(() => {
          this.network.onPlayback(report);
          this.replyLevel.push(peak);
          this.#dispatch({ kind: "playback", turnId, playedMs, atMs: this.#nowMs() });
        });
      },
      onLevel: (peak) => {
        this.microphoneLevel.push(peak);
      },
      onMicrophoneLost: () => {
        void this.closeMicrophone("The microphone was unplugged.");
      },
    });
    if (speaker) void anchor.setOutputDevice(speaker);
    return anchor;
  }

  #handleMessage(message: ServerMessage): void {
    if (message.case === "pong") {
      this.network.onPong(message.value.pingId, performance.now());
      return;
    }
    if (message.case === "speechActivity") {
      this.speechProbability.push(message.value.probability);
      return;
    }
    const waited = this.#state.conversation.admission?.state === AdmissionState.WAITING;
    this.#dispatch({ kind: "message", message, atMs: this.#nowMs() });
    // Said once, and only while nothing that the microphone hears is answered.
    if (message.case === "admission" && message.value.state === AdmissionState.WAITING && !waited)
      sayAloud(admissionMessage(message.value));
    // What follows of a recording is silence, which would keep the microphone out.
    const overAtMs = this.#recordingOverAtMs;
    if (message.case === "turnCommitted" && overAtMs !== null && this.#nowMs() >= overAtMs)
      this.#anchor.stopRecording();
    if (message.case !== "sessionStarted") return;
    void this.updatePreferences({ ticket: message.value.ticket });
    this.send({ case: "requestStatus", value: {} });
  }

  #isTalkReleased(): boolean {
    return this.#talkPressedAtMs === null;
  }

  #nowMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  #dispatch(event: ConversationEvent): void {
    this.eventLog.record(event, this.#nowMs(), Date.now());
    this.#update({ conversation: conversationReducer(this.#state.conversation, event) });
  }

  #update(change: Partial<ConsoleState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
