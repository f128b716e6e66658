import { useState } from "preact/hooks";
import type { Preferences } from "../preferences";
import {
  DEFAULT_KEYS,
  isShortcutKey,
  keyName,
  SHORTCUT_ACTIONS,
  type ShortcutAction,
  type ShortcutKeys,
  withKey,
} from "../shortcut_keys";
import type { ConsoleStore } from "../store";
import { Dialog } from "./Dialog";

interface ShortcutsProps {
  store: ConsoleStore;
  preferences: Preferences;
  onClose: () => void;
}

/** Lists the shortcuts, changes their keys, and switches them off for people who dictate or press keys by accident. */
export function ShortcutsDialog({ store, preferences: { shortcuts, keys }, onClose }: ShortcutsProps) {
  const [changing, setChanging] = useState<ShortcutAction | null>(null);
  const save = (changed: ShortcutKeys) => void store.updatePreferences({ keys: changed });
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <label class="switch">
        <input
          type="checkbox"
          checked={shortcuts}
          onChange={(change) => void store.updatePreferences({ shortcuts: change.currentTarget.checked })}
        />
        Single keys work as shortcuts
      </label>
      <p class="hint">Switch them off if you dictate to the computer, or press keys by accident.</p>
      <dl class="keys">
        {SHORTCUT_ACTIONS.map(({ action, text }) => (
          <div key={action}>
            <dt>
              <KeyButton
                text={text}
                keyText={keys[action]}
                disabled={!shortcuts}
                isChanging={changing === action}
                onStart={() => {
                  setChanging(action);
                }}
                onKey={(key) => {
                  setChanging(null);
                  if (key) save(withKey(keys, action, key));
                }}
              />
            </dt>
            <dd>{text}</dd>
          </div>
        ))}
        <div>
          <dt>
            <kbd>Esc</kbd>
          </dt>
          <dd>Stop the reply; this one always works</dd>
        </div>
      </dl>
      <p class="hint" role="status">
        {changing ? "Press the new key, or Tab to leave it." : "Click a key to change it."}
      </p>
      <div class="actions">
        <button
          class="button"
          type="button"
          onClick={() => {
            save(DEFAULT_KEYS);
          }}
        >
          Reset the keys
        </button>
      </div>
    </Dialog>
  );
}

interface KeyButtonProps {
  text: string;
  keyText: string;
  disabled: boolean;
  isChanging: boolean;
  onStart: () => void;
  /** Called with the new key, or with an empty one when it stays. */
  onKey: (key: string) => void;
}

function KeyButton({ text, keyText, disabled, isChanging, onStart, onKey }: KeyButtonProps) {
  return (
    <button
      class="key"
      type="button"
      disabled={disabled}
      aria-label={isChanging ? `${text}: press the new key` : `${text}: ${keyName(keyText)}. Change`}
      onClick={onStart}
      onBlur={() => {
        if (isChanging) onKey("");
      }}
      onKeyDown={(event) => {
        if (!isChanging || event.ctrlKey || event.metaKey || event.altKey) return;
        const key = event.key.toLowerCase();
        if (!isShortcutKey(key)) return;
        // The space bar would press this button again.
        event.preventDefault();
        onKey(key);
      }}
    >
      {isChanging ? "…" : keyName(keyText)}
    </button>
  );
}
