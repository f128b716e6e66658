/** The console's store: turns user actions into commands for the anchor, and its events into the state to render. */
import {
  AdmissionState,
  Anchor,
  type AnchorRecorder,
  type ClientMessage,
  type MicrophoneSettings,
  type MicrophoneStatus,
  type ServerMessage,
  soundSupport,
  TurnDetection,
} from "@ai-anchor/client";
import { talkRefusal } from "./abilities";
import { admissionMessage, sayAloud } from "./admission";
import { type ConversationEvent, conversationReducer } from "./conversation_reducer";
import { type Conversation, INITIAL_CONVERSATION } from "./conversation_state";
import { microphoneErrorMessage, unsentMessage } from "./error_messages";
import { EventLog } from "./event_log";
import { LevelFeed } from "./level";
import { NetworkFeed } from "./network";
import { loadPreferences, type Preferences, savePreferences, type Storage } from "./preferences";
import { REJECTED_CHOICE_NOTICES, rejectedChoice } from "./rejected_choice";
import { switchSlot, trialMessages, type TrialValues, trialValues } from "./trial";

const STATUS_INTERVAL_MS = 10_000;

/** All state that the page renders. */
export interface ConsoleState {
  readonly conversation: Conversation;
  readonly preferences: Preferences;
  /** Settings of the open microphone, muted or not; null while there is none. */
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
  /** When the page opened, in milliseconds since 1970. */
  readonly openedAtMs = Date.now();
  #state: ConsoleState;
  #anchor: Anchor;
  // To be shown once the session is open.
  #noticeAtStart = "";
  #recorder: AnchorRecorder | null = null;
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

  /** Hands both sides of the conversation to `recorder` from now on, in new conversations too; null ends that. */
  record(recorder: AnchorRecorder | null): void {
    this.#recorder = recorder;
    this.#anchor.record(recorder);
  }

  /** Opens the microphone; call it in a user gesture. */
  async openMicrophone(): Promise<void> {
    if (this.#refuseTalk()) return;
    await this.#reportFailure((anchor, deviceId) => anchor.openMicrophone(deviceId));
  }

  /** Closes the microphone: its track is stopped when this returns. `notice`, if given, replaces the shown notice. */
  async closeMicrophone(notice?: string): Promise<void> {
    const { conversation, preferences } = this.#state;
    const closed = this.#anchor.closeMicrophone();
    // No more frames follow, so the server cannot detect the silence: end the turn explicitly.
    const unfinished = conversation.user === "speaking" || conversation.turns.at(-1)?.provisional;
    if (preferences.mode === "open" && unfinished) this.send({ case: "endTurn", value: {} });
    if (notice !== undefined) this.#dispatch({ kind: "notice", notice });
    await closed;
  }

  /** Handles the press of the talk button: sends microphone audio until `releaseTalk`. */
  async pressTalk(): Promise<void> {
    if (this.#refuseTalk()) return;
    const { microphone, anchor } = this.#state.conversation;
    if (microphone !== "on" && anchor !== "idle") this.send({ case: "interrupt", value: {} });
    await this.#reportFailure((client, deviceId) => client.pressTalk(deviceId));
  }

  /** Handles the release of the talk button: ends the turn. */
  releaseTalk(): void {
    this.#anchor.releaseTalk();
  }

  /** Removes the shown notice. */
  dismissNotice(): void {
    this.#dispatch({ kind: "notice", notice: "" });
  }

  /**
   * Sends a written turn, which may replace one that was misheard; call it in a user gesture. Returns false, and says why,
   * when the session is not open.
   */
  sendText(text: string, replacesTurnId?: number): boolean {
    this.handleUserGesture();
    const replaces = replacesTurnId === undefined ? {} : { replacesTurnId };
    const sent = this.send({ case: "textInput", value: { text, ...replaces } });
    if (!sent) this.#dispatch({ kind: "notice", notice: unsentMessage(this.#state.conversation.connection.state) });
    return sent;
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
    if (preferences.mode !== before.mode) await this.#reconnect();
    else if (preferences.microphone !== before.microphone && microphone !== "off") {
      await (preferences.mode === "open" ? this.openMicrophone() : this.closeMicrophone());
    }
    if (preferences.speaker !== before.speaker) await this.#setOutputDevice(preferences.speaker);
  }

  /** Leaves the conversation, whose turns stay on the page, and starts a new one. */
  async startNewConversation(): Promise<void> {
    await this.closeMicrophone("");
    await this.#anchor.close();
    await this.updatePreferences({ ticket: "" });
    this.#dispatch({ kind: "reset" });
    this.#anchor = this.#createAnchor();
    this.connect();
  }

  // Turn detection is fixed when a session opens, so a change of talk mode needs a new one. It begins with a closed
  // microphone: what is open was opened for the other mode.
  async #reconnect(): Promise<void> {
    const old = this.#anchor;
    this.#anchor = this.#createAnchor(old.ticket);
    await old.close();
    this.#handleMicrophone(this.#anchor.microphoneStatus);
    // A page that is off air stays so: the conversation may go on elsewhere.
    if (this.#state.conversation.connection.state === "closed") return;
    // The server may still count the old session as open.
    this.connect(old.ticket !== "");
  }

  // A choice that the server does not offer any more would be refused for ever.
  async #replaceRejectedChoice(code: string): Promise<void> {
    const choice = rejectedChoice(code, this.#state.preferences);
    if (!choice) return;
    const old = this.#anchor;
    await this.updatePreferences({ [choice]: "" });
    this.#anchor = this.#createAnchor(old.ticket);
    this.#noticeAtStart = REJECTED_CHOICE_NOTICES[choice];
    await old.close();
    this.connect();
  }

  async #reportFailure(open: (anchor: Anchor, deviceId: string | undefined) => Promise<void>): Promise<void> {
    const anchor = this.#anchor;
    try {
      await open(anchor, this.#state.preferences.microphone || undefined);
    } catch (error) {
      if (anchor === this.#anchor) this.#dispatch({ kind: "notice", notice: microphoneErrorMessage(error) });
    }
  }

  #handleMicrophone({ state, reason }: MicrophoneStatus): void {
    if (state !== "on") this.microphoneLevel.clear();
    this.#update({ microphoneSettings: this.#anchor.microphone });
    this.#dispatch({ kind: "microphone", microphone: state, reason });
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
          if (connection.state === "closed") void this.#replaceRejectedChoice(connection.code);
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
        ifCurrent(() => {
          this.microphoneLevel.push(peak);
        });
      },
      onMicrophone: (status) => {
        ifCurrent(() => {
          this.#handleMicrophone(status);
        });
      },
    });
    anchor.record(this.#recorder);
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
    if (message.case === "sessionUpdated" || message.case === "systemStatus") this.#closeUnheardMicrophone();
    // What follows of a recording is silence, which would keep the microphone out.
    const overAtMs = this.#recordingOverAtMs;
    if (message.case === "turnCommitted" && overAtMs !== null && this.#nowMs() >= overAtMs)
      this.#anchor.stopRecording();
    if (message.case !== "sessionStarted") return;
    void this.updatePreferences({ ticket: message.value.ticket });
    this.send({ case: "requestStatus", value: {} });
    if (this.#noticeAtStart) this.#dispatch({ kind: "notice", notice: this.#noticeAtStart });
    this.#noticeAtStart = "";
  }

  // In a language that is not understood here, nothing that is said would be answered.
  #refuseTalk(): boolean {
    const refusal = talkRefusal(this.#state.conversation);
    if (refusal) this.#dispatch({ kind: "notice", notice: refusal });
    return refusal !== "";
  }

  #closeUnheardMicrophone(): void {
    const refusal = talkRefusal(this.#state.conversation);
    if (refusal && this.#state.conversation.microphone !== "off") void this.closeMicrophone(refusal);
  }

  #nowMs(): number {
    return performance.timeOrigin + performance.now();
  }

  #dispatch(event: ConversationEvent): void {
    this.eventLog.record(event, this.#nowMs());
    this.#update({ conversation: conversationReducer(this.#state.conversation, event) });
  }

  #update(change: Partial<ConsoleState>): void {
    this.#state = { ...this.#state, ...change };
    for (const listener of this.#listeners) listener();
  }
}
