import type { LatencyWaterfall } from "@ai-anchor/client";
import { formatDuration } from "../format";
import { latencyStages } from "../latency";

// Used when the server sends no budget.
const BUDGET_MS = 2000;
const WIDTH = 340;
const LABEL = 104;
const FIGURE = 52;
const ROW = 20;
const TOP = 18;

/** The stages of one turn as bars, against the latency budget. */
export function Waterfall({ latency }: { latency: LatencyWaterfall }) {
  const rows = latencyStages(latency);
  const budgetMs = latency.budgetMs || BUDGET_MS;
  const lastMs = Math.max(0, ...rows.map(({ endMs }) => endMs));
  const scaleMs = Math.max(budgetMs, lastMs) * 1.04;
  const x = (ms: number) => LABEL + (Math.max(0, ms) / scaleMs) * (WIDTH - LABEL - FIGURE);
  const height = TOP + rows.length * ROW + 4;
  const description = rows.map(({ name, endMs }) => `${name} ${formatDuration(endMs)}`).join(", ");
  return (
    <svg
      class="waterfall"
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="img"
      aria-label={`After the end of speech: ${description}. Budget ${formatDuration(budgetMs)}.`}
    >
      <line class="budget-line" x1={x(budgetMs)} x2={x(budgetMs)} y1={TOP - 4} y2={height} />
      <text class="budget-text" x={x(budgetMs)} y={TOP - 8} text-anchor="middle">
        {formatDuration(budgetMs)}
      </text>
      {rows.map(({ name, startMs, endMs }, index) => {
        const y = TOP + index * ROW;
        return (
          <g key={name} class={endMs > budgetMs ? "stage-late" : "stage"}>
            <text class="stage-name" x={LABEL - 8} y={y + 13} text-anchor="end">
              {name}
            </text>
            <rect
              class="stage-bar"
              x={x(startMs)}
              y={y + 4}
              width={Math.max(2, x(endMs) - x(startMs))}
              height={ROW - 9}
              rx="2"
            />
            <text class="stage-ms" x={WIDTH} y={y + 13} text-anchor="end">
              {formatDuration(endMs)}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
