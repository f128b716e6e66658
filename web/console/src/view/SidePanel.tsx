import type { Conversation } from "../conversation_state";
import type { ConsoleStore } from "../store";
import { canRecord, type RecordingControl } from "../use_recording";
import { CaptionPageLink } from "./CaptionPageLink";
import { EnginesPanel } from "./EnginesPanel";
import { ExportButtons } from "./ExportButtons";
import { GpuPanel } from "./GpuPanel";
import { CloseIcon } from "./icons";
import { Lab } from "./lab/Lab";
import { LatencyCard } from "./LatencyCard";
import { RecordingCard } from "./RecordingCard";

export interface SidePanelProps {
  store: ConsoleStore;
  conversation: Conversation;
  recording: RecordingControl;
  ticket: string;
  onClose: () => void;
}

/** The monitor: latency, GPU memory, engines, transcript. */
export function SidePanel({ store, conversation, recording, ticket, onClose }: SidePanelProps) {
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
        isConnected={conversation.connection.state === "open"}
      />
      <section class="card">
        <h2>Transcript</h2>
        <ExportButtons conversation={conversation} />
      </section>
      <CaptionPageLink key={ticket} ticket={ticket} />
      {canRecord() && <RecordingCard recording={recording} turns={conversation.turns} />}
    </aside>
  );
}
