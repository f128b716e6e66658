import "../../style/lab.css";
import { saveText } from "../../download";
import { measuredTurns, type MeasurementSources, toCsv, toJson } from "../../measurements";
import { useStore } from "../../use_store";
import type { DrawerContentProps } from "./Drawer";

/** Saves all measurements as files. */
export default function MeasurementsPanel({ store }: DrawerContentProps) {
  const { turns } = useStore(store).conversation;
  const { openedAtMs, network, eventLog } = store;
  const sources = (): MeasurementSources => ({
    turns,
    openedAtMs,
    roundTrips: network.roundTrips.statistics,
    lostPings: network.roundTrips.lost,
    buffer: network.buffer,
    events: eventLog.entries,
  });
  const count = measuredTurns(turns).length;
  if (count === 0) return <p class="empty">The figures of the turns can be saved from here.</p>;
  return (
    <>
      <div class="actions">
        <button
          class="button"
          type="button"
          aria-label="CSV: save the measurements"
          onClick={() => {
            saveText("measurements.csv", "text/csv", toCsv(turns));
          }}
        >
          CSV
        </button>
        <button
          class="button"
          type="button"
          aria-label="JSON: save the measurements"
          onClick={() => {
            saveText("measurements.json", "application/json", toJson(sources()));
          }}
        >
          JSON
        </button>
      </div>
      <p class="hint">
        {count === 1 ? "One turn" : `${count} turns`}: each step, the reason of the wait, the setting, the network. JSON
        has the statistics and the event log as well. What was said is in neither.
      </p>
    </>
  );
}
