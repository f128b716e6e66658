/** Which key does what: single-key shortcuts that can be changed, and switched off. */

/** What a shortcut does. Esc always stops the reply, and is not among them. */
export type ShortcutAction = "talk" | "pause" | "write" | "settings" | "monitor" | "shortcuts";

export type ShortcutKeys = Readonly<Record<ShortcutAction, string>>;

export const SHORTCUT_ACTIONS: readonly { action: ShortcutAction; text: string }[] = [
  { action: "talk", text: "Open or close the microphone; with push-to-talk, talk while it is held" },
  { action: "pause", text: "Pause or resume the reply" },
  { action: "write", text: "Write" },
  { action: "settings", text: "Settings" },
  { action: "monitor", text: "Show or hide the monitor" },
  { action: "shortcuts", text: "These shortcuts" },
];

export const DEFAULT_KEYS: ShortcutKeys = {
  talk: " ",
  pause: "p",
  write: "/",
  settings: "s",
  monitor: "d",
  shortcuts: "?",
};

/** The keys as stored; unknown actions, and keys that are not one character or taken already, get their defaults. */
export function validKeys(stored: unknown): ShortcutKeys {
  const given = typeof stored === "object" && stored !== null ? (stored as Record<string, unknown>) : {};
  const keys = Object.fromEntries(
    SHORTCUT_ACTIONS.map(({ action }) => {
      const key = given[action];
      return [action, typeof key === "string" && isShortcutKey(key) ? key : DEFAULT_KEYS[action]];
    }),
  ) as Record<ShortcutAction, string>;
  return new Set(Object.values(keys)).size === SHORTCUT_ACTIONS.length ? keys : DEFAULT_KEYS;
}

/** Whether a key can be a shortcut: one printed character in lower case, not the name of a key such as Tab. */
export function isShortcutKey(key: string): boolean {
  return Array.from(key).length === 1 && key === key.toLowerCase() && !/[\p{C}\p{Zl}\p{Zp}]/u.test(key);
}

/** The keys after `action` got `key`; the action that had it gets the old one in exchange. */
export function withKey(keys: ShortcutKeys, action: ShortcutAction, key: string): ShortcutKeys {
  const other = actionOf(keys, key);
  return { ...keys, ...(other ? { [other]: keys[action] } : {}), [action]: key.toLowerCase() };
}

/** The action of a pressed key; undefined when it has none. */
export function actionOf(keys: ShortcutKeys, key: string): ShortcutAction | undefined {
  return SHORTCUT_ACTIONS.find(({ action }) => keys[action] === key.toLowerCase())?.action;
}

/** The key as it is written on it. */
export function keyName(key: string): string {
  return key === " " ? "Space" : key.toUpperCase();
}
