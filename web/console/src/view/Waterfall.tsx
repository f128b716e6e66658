import type { LatencyWaterfall, TurnEndPredicted } from "@ai-anchor/client";
import { formatDuration } from "../format";
import { latencyStages, TURN_OVER } from "../latency";
import { waitReason } from "../wait_reason";

// Used when the server sends no budget.
const BUDGET_MS = 2000;
const WIDTH = 340;
const LABEL = 104;
const FIGURE = 52;
const ROW = 20;
// Height of the line with the reason of the wait.
const REASON = 17;
const TOP = 18;

interface WaterfallProps {
  latency: LatencyWaterfall;
  /** The end-of-turn wait of this turn; null when there was none. */
  wait: TurnEndPredicted | null;
}

/** The stages of one turn as bars, against the latency budget; under "turn over", how long was waited and why. */
export function Waterfall({ latency, wait }: WaterfallProps) {
  const rows = latencyStages(latency);
  const budgetMs = latency.budgetMs || BUDGET_MS;
  const lastMs = Math.max(0, ...rows.map(({ endMs }) => endMs));
  const scaleMs = Math.max(budgetMs, lastMs) * 1.04;
  const x = (ms: number) => LABEL + (Math.max(0, Math.min(ms, scaleMs)) / scaleMs) * (WIDTH - LABEL - FIGURE);
  const waitRow = wait ? rows.findIndex(({ name }) => name === TURN_OVER) : -1;
  const y = (index: number) => TOP + index * ROW + (waitRow >= 0 && index > waitRow ? REASON : 0);
  const height = y(rows.length) + 4;
  const description = rows.map(({ name, endMs }) => `${name} ${formatDuration(endMs)}`).join(", ");
  return (
    <svg
      class="waterfall"
      viewBox={`0 0 ${WIDTH} ${height}`}
      role="img"
      aria-label={`After the end of speech: ${description}. Budget ${formatDuration(budgetMs)}.${
        wait ? ` ${waitReason(wait).full}` : ""
      }`}
    >
      <line class="budget-line" x1={x(budgetMs)} x2={x(budgetMs)} y1={TOP - 4} y2={height} />
      <text class="budget-text" x={x(budgetMs)} y={TOP - 8} text-anchor="middle">
        {formatDuration(budgetMs)}
      </text>
      {rows.map(({ name, startMs, endMs }, index) => (
        <g key={name} class={endMs > budgetMs ? "stage-late" : "stage"}>
          <text class="stage-name" x={LABEL - 8} y={y(index) + 13} text-anchor="end">
            {name}
          </text>
          <rect
            class="stage-bar"
            x={x(startMs)}
            y={y(index) + 4}
            width={Math.max(2, x(endMs) - x(startMs))}
            height={ROW - 9}
            rx="2"
          />
          <text class="stage-ms" x={WIDTH} y={y(index) + 13} text-anchor="end">
            {formatDuration(endMs)}
          </text>
        </g>
      ))}
      {wait && waitRow >= 0 && (
        <g class="wait">
          <path class="wait-line" d={`M${x(0)} ${y(waitRow) + 18.5}H${x(wait.waitMs)}v-3`} />
          <text class="wait-text" x={LABEL} y={y(waitRow) + 31}>
            {waitReason(wait).short}
          </text>
        </g>
      )}
    </svg>
  );
}
