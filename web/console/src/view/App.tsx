import { useEffect, useState } from "preact/hooks";
import type { AnchorDesk } from "../desk";
import { phaseOf } from "../phase";
import { useAnchor } from "../use_anchor";
import { useShortcuts } from "../use_shortcuts";
import { Announcer } from "./Announcer";
import { Captions } from "./Captions";
import { Dock } from "./Dock";
import { Header } from "./Header";
import { Notices } from "./Notices";
import { SettingsDialog } from "./SettingsDialog";
import { ShortcutsDialog } from "./ShortcutsDialog";
import { SidePanel } from "./SidePanel";

/** Below this width the panel lies over the conversation, and begins closed; as in layout.css. */
const NARROW = "(max-width: 64rem)";

export type OpenDialog = "settings" | "shortcuts" | null;

export function App({ desk }: { desk: AnchorDesk }) {
  const { conversation, preferences, traits } = useAnchor(desk);
  const [dialog, openDialog] = useState<OpenDialog>(null);
  const [panel, openPanel] = useState(preferences.panel && !window.matchMedia(NARROW).matches);
  const togglePanel = () => {
    openPanel(!panel);
    if (!window.matchMedia(NARROW).matches) void desk.prefer({ panel: !panel });
  };
  useBodyState(desk);
  useShortcuts(desk, { openDialog, togglePanel });
  const phase = phaseOf(conversation, preferences.mode);
  return (
    <div class={panel ? "console with-panel" : "console"}>
      <Header
        conversation={conversation}
        phase={phase}
        panel={panel}
        theme={preferences.theme}
        onTheme={(theme) => void desk.prefer({ theme })}
        onPanel={togglePanel}
        onDialog={openDialog}
      />
      <main class="stage" aria-label="Conversation">
        <Notices desk={desk} conversation={conversation} />
        <Captions conversation={conversation} mode={preferences.mode} />
        <Dock desk={desk} conversation={conversation} mode={preferences.mode} phase={phase} />
      </main>
      {panel && <SidePanel conversation={conversation} onClose={togglePanel} />}
      <Announcer conversation={conversation} />
      {dialog === "settings" && (
        <SettingsDialog
          desk={desk}
          conversation={conversation}
          preferences={preferences}
          traits={traits}
          onClose={() => {
            openDialog(null);
          }}
        />
      )}
      {dialog === "shortcuts" && (
        <ShortcutsDialog
          onClose={() => {
            openDialog(null);
          }}
        />
      )}
    </div>
  );
}

// What goes on, where style sheets and tests see it.
function useBodyState(desk: AnchorDesk): void {
  const { conversation, preferences } = desk.desk;
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
