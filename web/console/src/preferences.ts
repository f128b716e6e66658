/** What this browser remembers of the user's choices. */
import type { TalkMode } from "./phase";

export type Theme = "system" | "light" | "dark";

export interface Preferences {
  /** Ticket of the conversation to go on with; empty for none. */
  ticket: string;
  mode: TalkMode;
  theme: Theme;
  /** Device ids; empty for the system's choice. */
  microphone: string;
  speaker: string;
  /** For the next new conversation; empty for the server's own. */
  language: string;
  voice: string;
  persona: string;
  /** 0 for the server's own. */
  patience: number;
  /** Whether the panel beside the conversation is open. */
  panel: boolean;
}

const KEY = "ai-anchor.preferences";

export const DEFAULTS: Preferences = {
  ticket: "",
  mode: "open",
  theme: "system",
  microphone: "",
  speaker: "",
  language: "",
  voice: "",
  persona: "",
  patience: 0,
  panel: true,
};

/** Where preferences are kept: `localStorage`, if the browser gives it. */
export type Storage = Pick<globalThis.Storage, "getItem" | "setItem">;

/** What was remembered, and the defaults for what was not or is of another kind. */
export function remembered(storage: Storage): Preferences {
  const kept = parsed(storage.getItem(KEY));
  const known = Object.entries(DEFAULTS).map(([name, value]) => {
    const other = kept[name];
    return [name, typeof other === typeof value ? other : value] as const;
  });
  const preferences = Object.fromEntries(known) as unknown as Preferences;
  if (!["open", "push"].includes(preferences.mode)) preferences.mode = DEFAULTS.mode;
  if (!["system", "light", "dark"].includes(preferences.theme)) preferences.theme = DEFAULTS.theme;
  return preferences;
}

export function remember(storage: Storage, preferences: Preferences): void {
  storage.setItem(KEY, JSON.stringify(preferences));
}

/** The browser's memory, or one that lasts as long as the page where it gives none (private windows, blocked). */
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

function parsed(text: string | null): Record<string, unknown> {
  if (text === null) return {};
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch (error) {
    // Somebody else's value under our name is as good as none.
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}
