import { formatDuration } from "../format";
import { STAGE_NAMES } from "../latency";
import type { LatencyStatistics } from "../latency_statistics";

export interface LatencyColumn {
  name: string;
  /** Null for a column without turns. */
  statistics: LatencyStatistics | null;
}

/** Statistics side by side: how many turns, their response times, and the median of each stage. */
export function LatencyTable({ columns }: { columns: readonly LatencyColumn[] }) {
  const stages = STAGE_NAMES.filter((name) =>
    columns.some(({ statistics }) => statistics?.stages.some((stage) => stage.name === name)),
  );
  const row = (name: string, figure: (statistics: LatencyStatistics) => string) => (
    <tr key={name}>
      <th scope="row">{name}</th>
      {columns.map((column) => (
        <td key={column.name}>{column.statistics ? figure(column.statistics) : "–"}</td>
      ))}
    </tr>
  );
  return (
    <table class="latency-table">
      <thead>
        <tr>
          <td />
          {columns.map(({ name }) => (
            <th key={name} scope="col">
              {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {row("turns", ({ count }) => String(count))}
        {row("p50", ({ p50Ms }) => formatDuration(p50Ms))}
        {row("p95", ({ p95Ms }) => formatDuration(p95Ms))}
      </tbody>
      <tbody class="latency-stages">
        {stages.map((name) =>
          row(name, (statistics) => {
            const stage = statistics.stages.find((each) => each.name === name);
            return stage ? formatDuration(stage.medianMs) : "–";
          }),
        )}
      </tbody>
    </table>
  );
}
