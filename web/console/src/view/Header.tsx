import { type Phase, PHASE_WORDS } from "../phase";
import type { Theme } from "../preferences";
import type { Conversation } from "../state";
import type { OpenDialog } from "./App";
import { KeysIcon, Logo, PanelIcon, SettingsIcon } from "./icons";

const THEMES: readonly { theme: Theme; name: string; sign: string }[] = [
  { theme: "system", name: "Colours as the system has them", sign: "◐" },
  { theme: "light", name: "Light colours", sign: "○" },
  { theme: "dark", name: "Dark colours", sign: "●" },
];

interface HeaderProps {
  conversation: Conversation;
  phase: Phase;
  panel: boolean;
  theme: Theme;
  onTheme: (theme: Theme) => void;
  onPanel: () => void;
  onDialog: (dialog: OpenDialog) => void;
}

export function Header({ conversation, phase, panel, theme, onTheme, onPanel, onDialog }: HeaderProps) {
  const persona = conversation.choices?.personas.find(({ id }) => id === conversation.settings?.persona);
  const at = THEMES.findIndex((each) => each.theme === theme);
  const now = THEMES[at];
  const next = THEMES[(at + 1) % THEMES.length];
  return (
    <header class="bar">
      <h1 class="brand">
        <Logo />
        <span>AI Anchor</span>
        {persona && <span class="brand-persona">{persona.name}</span>}
      </h1>
      <p class={`tally tally-${phase}`} role="status" aria-label="State">
        <span class="tally-light" />
        {PHASE_WORDS[phase]}
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
            {now?.sign}
          </span>
        </button>
        <button
          class="tool tool-keys"
          type="button"
          title="Keyboard shortcuts (?)"
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
          title="Monitor (D)"
          aria-label="Monitor"
          aria-expanded={panel}
          onClick={onPanel}
        >
          <PanelIcon />
        </button>
        <button
          class="tool"
          type="button"
          title="Settings (S)"
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
