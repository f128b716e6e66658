/** State of the conversation that the page renders. */
import type {
  Admission,
  Choices,
  Connection,
  Degradation,
  GpuStatus,
  ServiceNotice,
  ServiceStatus,
  SessionUpdated,
  TurnEndPredicted,
} from "@ai-anchor/client";
import { INITIAL_TRIAL, type Trial } from "./trial";
import { newTurn, type Turn } from "./turn";

// Older turns are dropped: a page may stay open for days.
const MAX_TURNS = 200;

export type MicrophoneState = "off" | "starting" | "on";
export type Settings = Pick<SessionUpdated, "language" | "voice" | "persona" | "patience" | "style" | "bargeIn">;

export interface Conversation {
  /** Number of the conversation on this page: turn ids are unique only within a conversation. */
  epoch: number;
  connection: Connection | { state: "idle" };
  microphone: MicrophoneState;
  /** Whether the user holds the talk button. */
  talkHeld: boolean;
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
  connection: { state: "idle" },
  microphone: "off",
  talkHeld: false,
  recording: "",
  audioStarted: false,
  user: "silent",
  anchor: "idle",
  resumed: false,
  retentionDays: null,
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
