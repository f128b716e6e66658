/** The keyboard: every key that does something on the page. */
import { useEffect } from "preact/hooks";
import type { AnchorDesk } from "./desk";

export const SHORTCUTS: readonly { keys: string; does: string }[] = [
  { keys: "Space", does: "Open or close the microphone; with push-to-talk, talk while it is held" },
  { keys: "Esc", does: "Stop the reply" },
  { keys: "P", does: "Pause the reply, or go on with it" },
  { keys: "/", does: "Write" },
  { keys: "S", does: "Settings" },
  { keys: "D", does: "Show or hide the monitor" },
  { keys: "?", does: "These shortcuts" },
];

interface Page {
  openDialog: (dialog: "settings" | "shortcuts") => void;
  togglePanel: () => void;
}

export function useShortcuts(desk: AnchorDesk, page: Page): void {
  useEffect(() => {
    const down = (event: KeyboardEvent) => {
      desk.gesture();
      if (event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
      if (pressed(desk, page, event)) event.preventDefault();
    };
    const up = (event: KeyboardEvent) => {
      if (event.key === " ") void desk.release();
    };
    // A button that the window lost sight of would stay down for ever.
    const away = () => void desk.release();
    const gesture = () => {
      desk.gesture();
    };
    window.addEventListener("keydown", down);
    window.addEventListener("keyup", up);
    window.addEventListener("blur", away);
    window.addEventListener("pointerdown", gesture);
    return () => {
      window.removeEventListener("keydown", down);
      window.removeEventListener("keyup", up);
      window.removeEventListener("blur", away);
      window.removeEventListener("pointerdown", gesture);
    };
  }, [desk, page.openDialog, page.togglePanel]);
}

// Whether the key means something else where it was pressed: a letter in a field, the space bar on a button.
function isTaken({ target, key }: KeyboardEvent): boolean {
  if (document.querySelector("dialog[open]")) return true;
  if (!(target instanceof HTMLElement)) return false;
  if (key === "Escape") return false;
  if (target.matches("input:not([type=radio]), select, textarea")) return true;
  return key === " " && target.matches("button:not([data-talk]), input, summary");
}

// Whether the key did something.
function pressed(desk: AnchorDesk, page: Page, { key, repeat }: KeyboardEvent): boolean {
  const { conversation } = desk.desk;
  switch (key.toLowerCase()) {
    case " ":
      if (!repeat) talk(desk);
      return true;
    case "escape":
      return conversation.anchor !== "idle" && desk.send({ case: "interrupt", value: {} });
    case "p":
      if (conversation.anchor === "paused") return desk.send({ case: "resume", value: {} });
      return conversation.anchor === "speaking" && desk.send({ case: "pause", value: {} });
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

function talk(desk: AnchorDesk): void {
  const { conversation, preferences } = desk.desk;
  if (desk.support !== "ready" || conversation.connection.state === "closed") return;
  if (preferences.mode === "push") void desk.press();
  else if (conversation.microphone === "on") void desk.mute("");
  else void desk.listen();
}
