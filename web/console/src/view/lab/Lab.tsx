import type { ConsoleStore } from "../../store";
import { Drawer } from "./Drawer";

const loadEventLog = () => import("./EventLogPanel");

/** The monitor's tools for who measures and tunes a conversation. */
export function Lab({ store }: { store: ConsoleStore }) {
  return <Drawer title="Event log" load={loadEventLog} store={store} />;
}
