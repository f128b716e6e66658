/** What the page shows of a conversation, as one value. */
import type {
  Choices,
  Connection,
  Degradation,
  GpuStatus,
  ServiceNotice,
  ServiceStatus,
  SessionUpdated,
} from "@ai-anchor/client";
import { newTurn, type Turn } from "./turn";

// Older turns are let go: a page may stay open for days.
const MAX_TURNS = 200;

export type MicrophoneState = "off" | "starting" | "on";
export type Settings = Pick<SessionUpdated, "language" | "voice" | "persona" | "patience" | "style">;

export interface Conversation {
  /** Counts the conversations on this page, so that turns of the same number are told apart. */
  epoch: number;
  connection: Connection | { state: "idle" };
  microphone: MicrophoneState;
  /** Whether the user holds the button to talk. */
  held: boolean;
  /** Whether replies sound here. */
  sound: boolean;
  user: "silent" | "speaking";
  anchor: "idle" | "thinking" | "speaking" | "paused";
  /** Whether the session goes on with a conversation that began before this page. */
  resumed: boolean;
  /** Something to tell the user, in plain words; empty when there is nothing. */
  notice: string;
  /** The impairments that have begun and not ended, in the order in which they began; one per code. */
  serviceNotices: readonly ServiceNotice[];
  turns: readonly Turn[];
  settings: Settings | null;
  choices: Choices | null;
  services: readonly ServiceStatus[];
  gpu: GpuStatus | null;
  degraded: readonly Degradation[];
}

export const INITIAL: Conversation = {
  epoch: 1,
  connection: { state: "idle" },
  microphone: "off",
  held: false,
  sound: false,
  user: "silent",
  anchor: "idle",
  resumed: false,
  notice: "",
  serviceNotices: [],
  turns: [],
  settings: null,
  choices: null,
  services: [],
  gpu: null,
  degraded: [],
};

/** Changes one turn, which begins here if it is new. */
export function inTurn(state: Conversation, id: number, change: (turn: Turn) => Partial<Turn>): Conversation {
  const key = newTurn(state.epoch, id).key;
  const known = state.turns.find((turn) => turn.key === key);
  const turn = known ?? newTurn(state.epoch, id);
  const changed = { ...turn, ...change(turn) };
  const turns = known ? state.turns.map((each) => (each === known ? changed : each)) : [...state.turns, changed];
  return { ...state, turns: turns.slice(-MAX_TURNS) };
}
