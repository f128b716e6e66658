import type { ComponentChildren } from "preact";
import { CloseIcon } from "./icons";

interface ClosableNoticeProps {
  /** `alert` interrupts a screen reader, `status` waits. */
  role: "alert" | "status";
  /** Further classes of its text. */
  kind?: string;
  warning?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}

/** A notice that stays until it is closed, or has become untrue. */
export function ClosableNotice({ role, kind = "", warning = false, onClose, children }: ClosableNoticeProps) {
  return (
    <div class={warning ? "notice notice-warning notice-closable" : "notice notice-closable"}>
      <p class={kind} role={role}>
        {children}
      </p>
      <button class="tool notice-close" type="button" aria-label="Close this notice" onClick={onClose}>
        <CloseIcon />
      </button>
    </div>
  );
}
