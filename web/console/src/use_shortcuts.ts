/** Keyboard shortcuts. */
import { useEffect, useRef } from "preact/hooks";
import { actionOf, type ShortcutAction } from "./shortcut_keys";
import type { ConsoleStore } from "./store";

interface Page {
  openDialog: (dialog: "settings" | "shortcuts") => void;
  togglePanel: () => void;
}

export function useShortcuts(store: ConsoleStore, page: Page): void {
  // The key that talks while it is held, by its place: with Shift let go first, the character of its keyup is another.
  const talkCode = useRef("");
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      store.handleUserGesture();
      if (event.ctrlKey || event.metaKey || event.altKey || isHandledByTarget(event)) return;
      if (pressedAction(store, event) === "talk") talkCode.current = event.code;
      if (handleKey(store, page, event)) event.preventDefault();
    };
    const onKeyUp = (event: KeyboardEvent) => {
      if (event.code === talkCode.current) store.releaseTalk();
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
function handleKey(store: ConsoleStore, page: Page, event: KeyboardEvent): boolean {
  const { conversation } = store.state;
  const { repeat } = event;
  switch (pressedAction(store, event)) {
    case "talk":
      if (!repeat) toggleTalk(store);
      return true;
    case "stop":
      return conversation.anchor !== "idle" && store.send({ case: "interrupt", value: {} });
    case "pause":
      if (conversation.anchor === "paused") return store.send({ case: "resume", value: {} });
      return conversation.anchor === "speaking" && store.send({ case: "pause", value: {} });
    case "write":
      document.getElementById("writing")?.focus();
      return true;
    case "settings":
      page.openDialog("settings");
      return true;
    case "monitor":
      page.togglePanel();
      return true;
    case "shortcuts":
      page.openDialog("shortcuts");
      return true;
    case undefined:
      return false;
  }
}

// Esc always stops the reply, and the space bar always presses the talk button when that has the focus.
function pressedAction(store: ConsoleStore, { key, target }: KeyboardEvent): ShortcutAction | "stop" | undefined {
  const { shortcuts, keys } = store.state.preferences;
  if (key === "Escape") return "stop";
  if (key === " " && target instanceof HTMLElement && target.matches("[data-talk]")) return "talk";
  return shortcuts ? actionOf(keys, key) : undefined;
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
