import { formatDuration } from "../format";

const BUDGET_MS = 2000;
const SHOWN = 32;
const WIDTH = 340;
const HEIGHT = 56;
const TOP = 6;

/** Bar chart of the last response times against the budget. */
export function LatencyHistory({ responses, budgetMs }: { responses: readonly number[]; budgetMs: number }) {
  const shown = responses.slice(-SHOWN);
  const budget = budgetMs || BUDGET_MS;
  const scaleMs = Math.max(budget * 1.1, ...shown);
  const y = (ms: number) => HEIGHT - (ms / scaleMs) * (HEIGHT - TOP);
  const step = WIDTH / SHOWN;
  return (
    <svg
      class="history"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`The last ${shown.length} answers: ${shown.map(formatDuration).join(", ")}`}
    >
      <line class="budget-line" x1="0" x2={WIDTH} y1={y(budget)} y2={y(budget)} />
      {shown.map((ms, index) => (
        <rect
          key={index}
          class={ms > budget ? "history-late" : "history-bar"}
          x={index * step + 1}
          y={y(ms)}
          width={step - 2}
          height={HEIGHT - y(ms)}
          rx="1.5"
        />
      ))}
    </svg>
  );
}
