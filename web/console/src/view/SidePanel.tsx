import { duration, percentile, responseMs } from "../latency";
import type { Conversation } from "../state";
import { EnginesPanel } from "./EnginesPanel";
import { ExportButtons } from "./ExportButtons";
import { GpuPanel } from "./GpuPanel";
import { History } from "./History";
import { CloseIcon } from "./icons";
import { Waterfall } from "./Waterfall";

interface SidePanelProps {
  conversation: Conversation;
  onClose: () => void;
}

/** What the control room watches: times, memory, engines. */
export function SidePanel({ conversation, onClose }: SidePanelProps) {
  return (
    <aside class="panel" aria-label="Monitor">
      <button class="tool panel-close" type="button" aria-label="Close the monitor" onClick={onClose}>
        <CloseIcon />
      </button>
      <Latency conversation={conversation} />
      <GpuPanel gpu={conversation.gpu} />
      <EnginesPanel
        services={conversation.services}
        answers={conversation.turns.findLast(({ engine }) => engine)?.engine ?? ""}
      />
      <section class="card">
        <h2>Transcript</h2>
        <ExportButtons conversation={conversation} />
      </section>
    </aside>
  );
}

function Latency({ conversation: { turns } }: { conversation: Conversation }) {
  const told = turns.flatMap(({ latency }) => latency ?? []);
  const responses = told.flatMap((latency) => responseMs(latency) ?? []);
  const latest = told.at(-1);
  const figure = (share: number) => {
    const ms = percentile(responses, share);
    return ms === undefined ? "–" : duration(ms);
  };
  return (
    <section class="card" aria-label="Latency">
      <h2>Time to the first sound</h2>
      <dl class="figures">
        <div>
          <dt>Last</dt>
          <dd>{responses.length > 0 ? duration(responses.at(-1) ?? 0) : "–"}</dd>
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
      {responses.length > 1 && <History responses={responses} budgetMs={latest?.budgetMs ?? 0} />}
    </section>
  );
}
