/** State of the conversation that the page renders. */
import type {
  Admission,
  Choices,
  Connection,
  Degradation,
  GpuStatus,
  MicrophoneReason,
  MicrophoneState,
  ServiceNotice,
  ServiceStatus,
  SessionUpdated,
  TurnEndPredicted,
} from "@ai-anchor/client";
import type { Ending } from "./past_conversations";
import { INITIAL_TRIAL, type Trial } from "./trial";
import { newTurn, type Turn } from "./turn";

// Older turns are dropped: a page may stay open for days.
const MAX_TURNS = 200;

export type Settings = Pick<SessionUpdated, "language" | "voice" | "persona" | "patience" | "style" | "bargeIn">;

export interface Conversation {
  /** Number of the conversation on this page: turn ids are unique only within a conversation. */
  epoch: number;
  /** How the earlier ones on this page ended, by their numbers. */
  endings: Readonly<Record<number, Ending>>;
  /** Id of the session, which differs after a restart of the server; empty before the first. */
  sessionId: string;
  connection: Connection | { state: "idle" };
  /** What the microphone's track is, and why it is not on. */
  microphone: MicrophoneState;
  microphoneReason: MicrophoneReason;
  /** Name of the recording that is sent in the place of the microphone; empty for none. */
  recording: string;
  /** Whether the browser allows audio, so that replies play. */
  audioStarted: boolean;
  user: "silent" | "speaking";
  anchor: "idle" | "thinking" | "speaking" | "paused";
  /** Whether the session resumed a conversation that began earlier. */
  resumed: boolean;
  /** For how many days the server keeps the conversation; 0 where it stores nothing, null before it has said so. */
  retentionDays: number | null;
  /** How much this machine's clock is ahead of the server's, in milliseconds. */
  clockAheadMs: number;
  /** When the user began and stopped to speak, for the turn that is being spoken; null without one. */
  speechFromMs: number | null;
  speechToMs: number | null;
  /** Whether the user waits for a place or has just got one; null when there is nothing to tell. */
  admission: Admission | null;
  /** A message for the user, such as the last error; empty when there is none. */
  notice: string;
  /** Active service notices in the order in which they began, one per code. */
  serviceNotices: readonly ServiceNotice[];
  turns: readonly Turn[];
  /** The end-of-turn wait of the latest silence; null before the first. */
  wait: TurnEndPredicted | null;
  settings: Settings | null;
  /** Which of the settings to try is in force. */
  trial: Trial;
  choices: Choices | null;
  services: readonly ServiceStatus[];
  gpu: GpuStatus | null;
  degraded: readonly Degradation[];
}

export const INITIAL_CONVERSATION: Conversation = {
  epoch: 1,
  endings: {},
  sessionId: "",
  connection: { state: "idle" },
  microphone: "off",
  microphoneReason: "",
  recording: "",
  audioStarted: false,
  user: "silent",
  anchor: "idle",
  resumed: false,
  retentionDays: null,
  clockAheadMs: 0,
  speechFromMs: null,
  speechToMs: null,
  admission: null,
  notice: "",
  serviceNotices: [],
  turns: [],
  wait: null,
  settings: null,
  trial: INITIAL_TRIAL,
  choices: null,
  services: [],
  gpu: null,
  degraded: [],
};

/** Applies a change to one turn, which is appended if it is new. */
export function updateTurn(state: Conversation, id: number, change: (turn: Turn) => Partial<Turn>): Conversation {
  const key = newTurn(state.epoch, id).key;
  const known = state.turns.find((turn) => turn.key === key);
  const turn = known ?? newTurn(state.epoch, id);
  const changed = { ...turn, ...change(turn) };
  const turns = known ? state.turns.map((each) => (each === known ? changed : each)) : [...state.turns, changed];
  return { ...state, turns: turns.slice(-MAX_TURNS) };
}
