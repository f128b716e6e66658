import { useEffect, useState } from "preact/hooks";
import { phaseOf } from "../phase";
import type { ConsoleStore } from "../store";
import { useShortcuts } from "../use_shortcuts";
import { useStore } from "../use_store";
import { Announcer } from "./Announcer";
import { Captions } from "./Captions";
import { Dock } from "./Dock";
import { Header } from "./Header";
import { Notices } from "./Notices";
import { SettingsDialog } from "./SettingsDialog";
import { ShortcutsDialog } from "./ShortcutsDialog";
import { SidePanel } from "./SidePanel";

/** Below this width the side panel covers the conversation and starts closed. The same as in layout.css. */
const NARROW = "(max-width: 64rem)";

export type OpenDialog = "settings" | "shortcuts" | null;

export function App({ store }: { store: ConsoleStore }) {
  const { conversation, preferences, microphoneSettings } = useStore(store);
  const [dialog, setDialog] = useState<OpenDialog>(null);
  const [panelOpen, setPanelOpen] = useState(preferences.panel && !window.matchMedia(NARROW).matches);
  const togglePanel = () => {
    setPanelOpen(!panelOpen);
    if (!window.matchMedia(NARROW).matches) void store.updatePreferences({ panel: !panelOpen });
  };
  useBodyAttributes(store);
  useShortcuts(store, { openDialog: setDialog, togglePanel });
  const phase = phaseOf(conversation, preferences.mode);
  return (
    <div class={panelOpen ? "console with-panel" : "console"}>
      <Header
        conversation={conversation}
        phase={phase}
        panelOpen={panelOpen}
        theme={preferences.theme}
        onTheme={(theme) => void store.updatePreferences({ theme })}
        onPanel={togglePanel}
        onDialog={setDialog}
      />
      <main class="stage" aria-label="Conversation">
        <Notices store={store} conversation={conversation} />
        <Captions conversation={conversation} mode={preferences.mode} />
        <Dock store={store} conversation={conversation} mode={preferences.mode} phase={phase} />
      </main>
      {panelOpen && <SidePanel store={store} conversation={conversation} onClose={togglePanel} />}
      <Announcer conversation={conversation} />
      {dialog === "settings" && (
        <SettingsDialog
          store={store}
          conversation={conversation}
          preferences={preferences}
          microphoneSettings={microphoneSettings}
          onClose={() => {
            setDialog(null);
          }}
        />
      )}
      {dialog === "shortcuts" && (
        <ShortcutsDialog
          onClose={() => {
            setDialog(null);
          }}
        />
      )}
    </div>
  );
}

// Publishes the state as data attributes, for style sheets and tests.
function useBodyAttributes(store: ConsoleStore): void {
  const { conversation, preferences } = store.state;
  const phase = phaseOf(conversation, preferences.mode);
  const connection = conversation.connection.state;
  const { microphone, user, anchor } = conversation;
  useEffect(() => {
    Object.assign(document.body.dataset, {
      state: phase,
      connection,
      microphone,
      user,
      anchor,
      mode: preferences.mode,
    });
    document.documentElement.dataset["theme"] = preferences.theme;
  }, [phase, connection, microphone, user, anchor, preferences.mode, preferences.theme]);
}
