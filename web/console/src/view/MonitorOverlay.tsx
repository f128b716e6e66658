import { useEffect, useRef } from "preact/hooks";
import type { Conversation } from "../conversation_state";
import { SidePanel } from "./SidePanel";

/** The monitor where it covers the page: a modal dialog. The page behind is inert, Esc closes it, the focus returns. */
export function MonitorOverlay({ conversation, onClose }: { conversation: Conversation; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
  }, []);
  const close = () => dialog.current?.close();
  return (
    <dialog
      class="panel-overlay"
      ref={dialog}
      aria-label="Monitor"
      onClose={onClose}
      onClick={(click) => {
        // A click on the backdrop has the dialog itself as its target.
        if (click.target === dialog.current) close();
      }}
    >
      <SidePanel conversation={conversation} onClose={close} />
    </dialog>
  );
}
