import { useEffect, useRef } from "preact/hooks";
import { SidePanel, type SidePanelProps } from "./SidePanel";

/** The monitor where it covers the page: a modal dialog. The page behind is inert, Esc closes it, the focus returns. */
export function MonitorOverlay({ onClose, ...panel }: SidePanelProps) {
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
      <SidePanel {...panel} onClose={close} />
    </dialog>
  );
}
