/** The user's preferences, stored in the browser. */
import type { TalkMode } from "./phase";
import { DEFAULT_KEYS, type ShortcutKeys, validKeys } from "./shortcut_keys";
import { MIN_WORDS_CHOICES, STOP_MS_CHOICES } from "./trial";

export type Theme = "system" | "light" | "dark";
export type CaptionSize = "normal" | "large" | "largest";
export type CaptionContrast = "normal" | "high";

export interface Preferences {
  /** Ticket of the conversation to resume; empty for none. */
  ticket: string;
  mode: TalkMode;
  theme: Theme;
  /** Device ids; empty for the system's default. */
  microphone: string;
  speaker: string;
  /** For new conversations; empty for the server's default. */
  language: string;
  voice: string;
  persona: string;
  /** 0 for the server's default, as in the two below. */
  patience: number;
  bargeInStopMs: number;
  bargeInMinWords: number;
  /** Whether the monitor is open. */
  monitor: boolean;
  /** Whether single keys are shortcuts, and which. */
  shortcuts: boolean;
  keys: ShortcutKeys;
  captionSize: CaptionSize;
  captionContrast: CaptionContrast;
}

const STORAGE_KEY = "ai-anchor.preferences";

export const DEFAULT_PREFERENCES: Preferences = {
  ticket: "",
  mode: "open",
  theme: "system",
  microphone: "",
  speaker: "",
  language: "",
  voice: "",
  persona: "",
  patience: 0,
  bargeInStopMs: 0,
  bargeInMinWords: 0,
  monitor: false,
  shortcuts: true,
  keys: DEFAULT_KEYS,
  captionSize: "normal",
  captionContrast: "normal",
};

/** The part of `localStorage` that preferences need. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem">;

/** Loads the preferences; a missing or invalid value gets its default. */
export function loadPreferences(storage: Storage): Preferences {
  const stored = parseObject(storage.getItem(STORAGE_KEY));
  const entries = Object.entries(DEFAULT_PREFERENCES).map(([name, value]) => {
    const other = stored[name];
    return [name, typeof other === typeof value ? other : value] as const;
  });
  const preferences = Object.fromEntries(entries) as unknown as Preferences;
  if (!["open", "push"].includes(preferences.mode)) preferences.mode = DEFAULT_PREFERENCES.mode;
  // The server refuses a session with values out of range.
  if (!STOP_MS_CHOICES.includes(preferences.bargeInStopMs)) preferences.bargeInStopMs = 0;
  if (!MIN_WORDS_CHOICES.includes(preferences.bargeInMinWords)) preferences.bargeInMinWords = 0;
  if (!["system", "light", "dark"].includes(preferences.theme)) preferences.theme = DEFAULT_PREFERENCES.theme;
  preferences.keys = validKeys(stored["keys"]);
  if (!["normal", "large", "largest"].includes(preferences.captionSize))
    preferences.captionSize = DEFAULT_PREFERENCES.captionSize;
  if (!["normal", "high"].includes(preferences.captionContrast))
    preferences.captionContrast = DEFAULT_PREFERENCES.captionContrast;
  return preferences;
}

/** Saves the preferences. */
export function savePreferences(storage: Storage, preferences: Preferences): void {
  storage.setItem(STORAGE_KEY, JSON.stringify(preferences));
}

/** `localStorage`, or an in-memory replacement where the browser blocks it, as in some private windows. */
export function browserStorage(): Storage {
  try {
    window.localStorage.setItem("ai-anchor.probe", "");
    window.localStorage.removeItem("ai-anchor.probe");
    return window.localStorage;
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    const values = new Map<string, string>();
    return {
      getItem: (key) => values.get(key) ?? null,
      setItem: (key, value) => void values.set(key, value),
    };
  }
}

function parseObject(text: string | null): Record<string, unknown> {
  if (text === null) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    // Not written by this page: use the defaults.
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
