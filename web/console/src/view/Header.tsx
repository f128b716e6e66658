import type { Conversation } from "../conversation_state";
import { type Phase, PHASE_LABELS } from "../phase";
import type { Theme } from "../preferences";
import { keyName, type ShortcutAction, type ShortcutKeys } from "../shortcut_keys";
import type { OpenDialog } from "./App";
import { KeysIcon, Logo, PanelIcon, SettingsIcon } from "./icons";

const THEMES: readonly { theme: Theme; name: string; symbol: string }[] = [
  { theme: "system", name: "System colours", symbol: "◐" },
  { theme: "light", name: "Light colours", symbol: "○" },
  { theme: "dark", name: "Dark colours", symbol: "●" },
];

interface HeaderProps {
  conversation: Conversation;
  phase: Phase;
  panelOpen: boolean;
  theme: Theme;
  /** The keys of the shortcuts; null while they are off. */
  keys: ShortcutKeys | null;
  onTheme: (theme: Theme) => void;
  onPanel: () => void;
  onDialog: (dialog: OpenDialog) => void;
}

export function Header({ conversation, phase, panelOpen, theme, keys, onTheme, onPanel, onDialog }: HeaderProps) {
  const persona = conversation.choices?.personas.find(({ id }) => id === conversation.settings?.persona);
  const at = THEMES.findIndex((each) => each.theme === theme);
  const now = THEMES[at];
  const next = THEMES[(at + 1) % THEMES.length];
  const withKeyOf = (name: string, action: ShortcutAction) => (keys ? `${name} (${keyName(keys[action])})` : name);
  return (
    <header class="bar">
      <h1 class="brand">
        <Logo />
        <span>AI Anchor</span>
        {persona && <span class="brand-persona">{persona.name}</span>}
      </h1>
      <p class={`tally tally-${phase}`}>
        <span class="visually-hidden">State: </span>
        <span class="tally-light" />
        {PHASE_LABELS[phase]}
        {conversation.microphone === "on" && (
          <span class="tally-microphone" aria-hidden="true">
            mic on
          </span>
        )}
        {conversation.degraded.length > 0 && phase !== "closed" && <span class="tally-degraded">limited</span>}
      </p>
      <nav class="tools" aria-label="Console">
        <button
          class="tool tool-theme"
          type="button"
          title={now?.name}
          aria-label={`${now?.name ?? ""}: change`}
          onClick={() => {
            if (next) onTheme(next.theme);
          }}
        >
          <span class="theme-sign" aria-hidden="true">
            {now?.symbol}
          </span>
        </button>
        <button
          class="tool tool-keys"
          type="button"
          title={withKeyOf("Keyboard shortcuts", "shortcuts")}
          aria-label="Keyboard shortcuts"
          onClick={() => {
            onDialog("shortcuts");
          }}
        >
          <KeysIcon />
        </button>
        <button
          class="tool"
          type="button"
          title={withKeyOf("Monitor", "monitor")}
          aria-label="Monitor"
          aria-expanded={panelOpen}
          onClick={onPanel}
        >
          <PanelIcon />
        </button>
        <button
          class="tool"
          type="button"
          title={withKeyOf("Settings", "settings")}
          aria-label="Settings"
          onClick={() => {
            onDialog("settings");
          }}
        >
          <SettingsIcon />
        </button>
      </nav>
    </header>
  );
}
