import type { Conversation } from "../conversation_state";
import { formatDuration } from "../format";
import { percentile, responseMs } from "../latency";
import { canRecord, type RecordingControl } from "../use_recording";
import { CaptionPageLink } from "./CaptionPageLink";
import { EnginesPanel } from "./EnginesPanel";
import { ExportButtons } from "./ExportButtons";
import { GpuPanel } from "./GpuPanel";
import { CloseIcon } from "./icons";
import { LatencyHistory } from "./LatencyHistory";
import { RecordingCard } from "./RecordingCard";
import { Waterfall } from "./Waterfall";

export interface SidePanelProps {
  conversation: Conversation;
  recording: RecordingControl;
  ticket: string;
  onClose: () => void;
}

/** The monitor: latency, GPU memory, engines, transcript. */
export function SidePanel({ conversation, recording, ticket, onClose }: SidePanelProps) {
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

function LatencyCard({ conversation: { turns } }: { conversation: Conversation }) {
  const waterfalls = turns.flatMap(({ latency }) => latency ?? []);
  const responses = waterfalls.flatMap((latency) => responseMs(latency) ?? []);
  const latest = waterfalls.at(-1);
  const figure = (share: number) => {
    const ms = percentile(responses, share);
    return ms === undefined ? "–" : formatDuration(ms);
  };
  return (
    <section class="card" aria-label="Latency">
      <h2>Time to the first sound</h2>
      <dl class="figures">
        <div>
          <dt>Last</dt>
          <dd>{responses.length > 0 ? formatDuration(responses.at(-1) ?? 0) : "–"}</dd>
        </div>
        <div>
          <dt>p50</dt>
          <dd>{figure(0.5)}</dd>
        </div>
        <div>
          <dt>p95</dt>
          <dd>{figure(0.95)}</dd>
        </div>
      </dl>
      {latest ? <Waterfall latency={latest} /> : <p class="empty">The steps of each answer appear here.</p>}
      {responses.length > 1 && <LatencyHistory responses={responses} budgetMs={latest?.budgetMs ?? 0} />}
    </section>
  );
}
