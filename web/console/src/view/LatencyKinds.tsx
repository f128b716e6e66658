import { statisticsByKind, TURN_KIND_NAMES, TURN_KINDS } from "../latency_statistics";
import type { Turn } from "../turn";
import { LatencyTable } from "./LatencyTable";

/** The response times of spoken and written turns and of fixed phrases, side by side. */
export function LatencyKinds({ turns }: { turns: readonly Turn[] }) {
  const statistics = statisticsByKind(turns);
  const columns = TURN_KINDS.flatMap((kind) => {
    const of = statistics[kind];
    return of ? [{ name: TURN_KIND_NAMES[kind], statistics: of }] : [];
  });
  return <LatencyTable columns={columns} />;
}
