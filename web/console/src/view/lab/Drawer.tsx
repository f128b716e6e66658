import { type ComponentType, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { ConsoleStore } from "../../store";

export interface DrawerContentProps {
  store: ConsoleStore;
}

interface DrawerProps extends DrawerContentProps {
  title: string;
  /** Loads the content when the drawer is first opened. */
  load: () => Promise<{ default: ComponentType<DrawerContentProps> }>;
}

/** A part of the monitor that is closed until asked for; its code is loaded then. */
export function Drawer({ title, load, store }: DrawerProps) {
  const [open, setOpen] = useState(false);
  const [content, setContent] = useState<ComponentType<DrawerContentProps> | "failed" | null>(null);
  useEffect(() => {
    if (!open || content !== null) return;
    load().then(
      (module) => {
        setContent(() => module.default);
      },
      () => {
        // The server was replaced by another version, or cannot be reached.
        setContent("failed");
      },
    );
  }, [open, content, load]);
  return (
    <details
      class="card drawer"
      onToggle={(toggle) => {
        setOpen(toggle.currentTarget.open);
      }}
    >
      <summary>
        <h2>{title}</h2>
      </summary>
      {open && <DrawerContent content={content} store={store} />}
    </details>
  );
}

function DrawerContent({
  content,
  store,
}: { content: ComponentType<DrawerContentProps> | "failed" | null } & DrawerContentProps) {
  if (content === null) return <p class="empty">One moment…</p>;
  if (content === "failed") return <p class="empty">This part could not be loaded. Reload the page.</p>;
  return <div class="drawer-content">{h(content, { store })}</div>;
}
