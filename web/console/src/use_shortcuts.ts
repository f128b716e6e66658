/** Keyboard shortcuts. */
import { useEffect } from "preact/hooks";
import type { ConsoleStore } from "./store";

export const SHORTCUTS: readonly { keys: string; action: string }[] = [
  { keys: "Space", action: "Open or close the microphone; with push-to-talk, talk while it is held" },
  { keys: "Esc", action: "Stop the reply" },
  { keys: "P", action: "Pause or resume the reply" },
  { keys: "/", action: "Write" },
  { keys: "S", action: "Settings" },
  { keys: "D", action: "Show or hide the monitor" },
  { keys: "?", action: "These shortcuts" },
];

interface Page {
  openDialog: (dialog: "settings" | "shortcuts") => void;
  togglePanel: () => void;
}

export function useShortcuts(store: ConsoleStore, page: Page): void {
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      store.handleUserGesture();
      if (event.ctrlKey || event.metaKey || event.altKey || isHandledByTarget(event)) return;
      if (handleKey(store, page, event)) event.preventDefault();
    };
    const onKeyUp = (event: KeyboardEvent) => {
      if (event.key === " ") store.releaseTalk();
    };
    // The window gets no keyup while it has no focus: release the talk button when it loses focus.
    const onBlur = () => {
      store.releaseTalk();
    };
    const onPointerDown = () => {
      store.handleUserGesture();
    };
    window.addEventListener("keydown", onKeyDown);
    window.addEventListener("keyup", onKeyUp);
    window.addEventListener("blur", onBlur);
    window.addEventListener("pointerdown", onPointerDown);
    return () => {
      window.removeEventListener("keydown", onKeyDown);
      window.removeEventListener("keyup", onKeyUp);
      window.removeEventListener("blur", onBlur);
      window.removeEventListener("pointerdown", onPointerDown);
    };
  }, [store, page.openDialog, page.togglePanel]);
}

// Whether the focused element handles the key itself: a letter in a field, the space bar on a button.
function isHandledByTarget({ target, key }: KeyboardEvent): boolean {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (key === "Escape") return false;
  if (target.matches("input:not([type=radio]), select, textarea")) return true;
  return key === " " && target.matches("button:not([data-talk]), input, summary");
}

// Runs the key's action; returns whether there was one.
function handleKey(store: ConsoleStore, page: Page, { key, repeat }: KeyboardEvent): boolean {
  const { conversation } = store.state;
  switch (key.toLowerCase()) {
    case " ":
      if (!repeat) toggleTalk(store);
      return true;
    case "escape":
      return conversation.anchor !== "idle" && store.send({ case: "interrupt", value: {} });
    case "p":
      if (conversation.anchor === "paused") return store.send({ case: "resume", value: {} });
      return conversation.anchor === "speaking" && store.send({ case: "pause", value: {} });
    case "/":
      document.getElementById("writing")?.focus();
      return true;
    case "s":
      page.openDialog("settings");
      return true;
    case "d":
      page.togglePanel();
      return true;
    case "?":
      page.openDialog("shortcuts");
      return true;
    default:
      return false;
  }
}

function toggleTalk(store: ConsoleStore): void {
  const { conversation, preferences } = store.state;
  if (preferences.mode === "open" && conversation.microphone !== "off") {
    void store.closeMicrophone("");
    return;
  }
  if (store.soundSupport !== "ready" || conversation.connection.state === "closed") return;
  if (preferences.mode === "push") void store.pressTalk();
  else void store.openMicrophone();
}
