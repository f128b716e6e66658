import type { Conversation } from "../conversation_state";
import type { ConsoleStore } from "../store";
import { EnginesPanel } from "./EnginesPanel";
import { ExportButtons } from "./ExportButtons";
import { GpuPanel } from "./GpuPanel";
import { CloseIcon } from "./icons";
import { Lab } from "./lab/Lab";
import { LatencyCard } from "./LatencyCard";

interface SidePanelProps {
  store: ConsoleStore;
  conversation: Conversation;
  onClose: () => void;
}

/** The monitor: latency, GPU memory, engines, transcript. */
export function SidePanel({ store, conversation, onClose }: SidePanelProps) {
  return (
    <aside class="panel" aria-label="Monitor">
      <button class="tool panel-close" type="button" aria-label="Close the monitor" onClick={onClose}>
        <CloseIcon />
      </button>
      <LatencyCard conversation={conversation} />
      <Lab store={store} />
      <GpuPanel gpu={conversation.gpu} />
      <EnginesPanel
        services={conversation.services}
        languageModel={conversation.turns.findLast(({ engine }) => engine)?.engine ?? ""}
      />
      <section class="card">
        <h2>Transcript</h2>
        <ExportButtons conversation={conversation} />
      </section>
    </aside>
  );
}
