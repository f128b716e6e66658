import type { Conversation } from "../conversation_state";
import { formatDuration } from "../format";
import { newestAnswer, responseMs } from "../latency";
import { latencyStatistics, TURN_KIND_NAMES, turnKind } from "../latency_statistics";
import { waitReason } from "../wait_reason";
import { LatencyHistory } from "./LatencyHistory";
import { LatencyKinds } from "./LatencyKinds";
import { Waterfall } from "./Waterfall";

/** How long the answers took to their first sound. "p50" and "p95" are of the newest answer's kind. */
export function LatencyCard({ conversation: { turns } }: { conversation: Conversation }) {
  const newest = newestAnswer(turns);
  const latest = newest?.latency ?? null;
  const measured = turns.filter(({ latency }) => latency !== null && responseMs(latency) !== undefined);
  // While the newest answer has no figures, the latest answer that has some decides which kind is shown.
  const shown = latest ? newest : measured.at(-1);
  const kind = shown && turnKind(shown);
  const ofKind = measured.filter((turn) => turnKind(turn) === kind);
  const statistics = latencyStatistics(ofKind);
  const responses = ofKind.flatMap(({ latency }) => (latency && responseMs(latency)) ?? []);
  const figure = (ms: number | undefined) => (ms === undefined ? "–" : formatDuration(ms));
  return (
    <section class="card" aria-label="Latency">
      <h2>Time to the first sound</h2>
      <dl class="figures">
        <div>
          <dt>Last</dt>
          <dd>{figure(latest ? responseMs(latest) : undefined)}</dd>
        </div>
        <div>
          <dt>p50</dt>
          <dd>{figure(statistics?.p50Ms)}</dd>
        </div>
        <div>
          <dt>p95</dt>
          <dd>{figure(statistics?.p95Ms)}</dd>
        </div>
      </dl>
      {kind && statistics && (
        <p class="figures-of">
          {TURN_KIND_NAMES[kind]}: {statistics.count} {statistics.count === 1 ? "turn" : "turns"}
        </p>
      )}
      {newest && latest ? (
        <Waterfall latency={latest} wait={newest.wait} />
      ) : (
        <p class="empty">The steps of an answer appear here at its first sound.</p>
      )}
      {newest?.wait && <p class="wait-reason">{waitReason(newest.wait).full}</p>}
      {responses.length > 1 && <LatencyHistory responses={responses} budgetMs={latest?.budgetMs ?? 0} />}
      {measured.length > 0 && (
        <details class="more">
          <summary>All turns by kind</summary>
          <LatencyKinds turns={turns} />
          <p class="hint">
            Medians of the time at which each step was reached: after the end of speech, or after a written turn was
            sent.
          </p>
        </details>
      )}
    </section>
  );
}
