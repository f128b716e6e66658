import type { ConsoleStore } from "../../store";
import { Drawer } from "./Drawer";

const loadEventLog = () => import("./EventLogPanel");
const loadNetwork = () => import("./NetworkPanel");
const loadTrial = () => import("./TrialPanel");
const loadRecording = () => import("./RecordingPanel");
const loadMeasurements = () => import("./MeasurementsPanel");

/** The monitor's tools for who measures and tunes a conversation. */
export function Lab({ store }: { store: ConsoleStore }) {
  return (
    <>
      <Drawer title="Event log" load={loadEventLog} store={store} />
      <Drawer title="Settings to try" load={loadTrial} store={store} />
      <Drawer title="Play a recording" load={loadRecording} store={store} />
      <Drawer title="Sound and network" load={loadNetwork} store={store} />
      <Drawer title="Save the measurements" load={loadMeasurements} store={store} />
    </>
  );
}
