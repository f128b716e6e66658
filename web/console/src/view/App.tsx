import { useEffect, useState } from "preact/hooks";
import { pageTitle } from "../microphone_messages";
import { phaseOf } from "../phase";
import type { ConsoleStore } from "../store";
import { useMedia } from "../use_media";
import { useShortcuts } from "../use_shortcuts";
import { useRecording } from "../use_recording";
import { useStore } from "../use_store";
import { Announcer } from "./Announcer";
import { Captions } from "./Captions";
import { Dock } from "./Dock";
import { Header } from "./Header";
import { MonitorOverlay } from "./MonitorOverlay";
import { Notices } from "./Notices";
import { RecordingSign } from "./RecordingCard";
import { SettingsDialog } from "./SettingsDialog";
import { ShortcutsDialog } from "./ShortcutsDialog";
import { SidePanel } from "./SidePanel";

/** Below this width the side panel covers the conversation and starts closed. The same as in layout.css. */
const NARROW = "(max-width: 64rem)";

export type OpenDialog = "settings" | "shortcuts" | null;

export function App({ store }: { store: ConsoleStore }) {
  const { conversation, preferences, microphoneSettings } = useStore(store);
  const [dialog, setDialog] = useState<OpenDialog>(null);
  const isNarrow = useMedia(NARROW);
  const [panelOpen, setPanelOpen] = useState(preferences.monitor && !isNarrow);
  const togglePanel = () => {
    setPanelOpen(!panelOpen);
    if (!isNarrow) void store.updatePreferences({ monitor: !panelOpen });
  };
  const recording = useRecording(store);
  const Monitor = isNarrow ? MonitorOverlay : SidePanel;
  const monitor = { store, conversation, recording, ticket: preferences.ticket };
  useBodyAttributes(store);
  useShortcuts(store, { openDialog: setDialog, togglePanel });
  const phase = phaseOf(conversation, preferences.mode);
  return (
    <div class={panelOpen && !isNarrow ? "console with-panel" : "console"}>
      <Header
        conversation={conversation}
        phase={phase}
        panelOpen={panelOpen}
        theme={preferences.theme}
        keys={preferences.shortcuts ? preferences.keys : null}
        onTheme={(theme) => void store.updatePreferences({ theme })}
        onPanel={togglePanel}
        onDialog={setDialog}
      />
      <main class="stage" aria-label="Conversation">
        <Notices store={store} conversation={conversation} />
        <Captions store={store} conversation={conversation} preferences={preferences} />
        <Dock store={store} conversation={conversation} mode={preferences.mode} phase={phase} />
      </main>
      <RecordingSign recording={recording} />
      {panelOpen && <Monitor {...monitor} onClose={togglePanel} />}
      <Announcer conversation={conversation} phase={phase} />
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
          store={store}
          preferences={preferences}
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
  const title = pageTitle(conversation);
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
    document.title = title;
  }, [title, phase, connection, microphone, user, anchor, preferences.mode, preferences.theme]);
}
