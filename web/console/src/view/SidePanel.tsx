import type { Conversation } from "../conversation_state";
import { EnginesPanel } from "./EnginesPanel";
import { ExportButtons } from "./ExportButtons";
import { GpuPanel } from "./GpuPanel";
import { CloseIcon } from "./icons";
import { LatencyCard } from "./LatencyCard";

interface SidePanelProps {
  conversation: Conversation;
  onClose: () => void;
}

/** The monitor: latency, GPU memory, engines, transcript. */
export function SidePanel({ conversation, onClose }: SidePanelProps) {
  return (
    <aside class="panel" aria-label="Monitor">
      <button class="tool panel-close" type="button" aria-label="Close the monitor" onClick={onClose}>
        <CloseIcon />
      </button>
      <LatencyCard conversation={conversation} />
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
