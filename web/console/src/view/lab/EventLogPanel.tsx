import "../../style/lab.css";
import { useEffect, useState } from "preact/hooks";
import { formatClock, LOG_GROUPS, type LogEntry, type LogGroup, MAX_ENTRIES } from "../../event_log";
import type { DrawerContentProps } from "./Drawer";

// More rows make the page slow; the export has all entries.
const SHOWN_ENTRIES = 200;
const GROUPS = Object.keys(LOG_GROUPS) as LogGroup[];

/** The event log, newest first, by groups that can be hidden. */
export default function EventLogPanel({ store: { eventLog } }: DrawerContentProps) {
  const [entries, setEntries] = useState(eventLog.entries);
  const [hidden, setHidden] = useState<readonly LogGroup[]>([]);
  useEffect(() => {
    const refresh = () => {
      setEntries(eventLog.entries);
    };
    refresh();
    return eventLog.subscribe(refresh);
  }, [eventLog]);
  const wanted = entries.filter(({ group }) => !hidden.includes(group));
  const shown = wanted.slice(-SHOWN_ENTRIES).reverse();
  return (
    <>
      <fieldset class="log-filter">
        <legend class="visually-hidden">Show</legend>
        {GROUPS.map((group) => (
          <label key={group}>
            <input
              type="checkbox"
              checked={!hidden.includes(group)}
              onChange={({ currentTarget: { checked } }) => {
                setHidden(checked ? hidden.filter((each) => each !== group) : [...hidden, group]);
              }}
            />
            {LOG_GROUPS[group]}
          </label>
        ))}
      </fieldset>
      {/* Scrolls, so it must be reachable by keyboard. */}
      <div class="log" role="region" aria-label="Events, newest first" tabIndex={0}>
        {shown.length === 0 && <p class="empty">Nothing yet.</p>}
        <ol class="log-entries">
          {shown.map((entry) => (
            <LogRow key={entry.id} entry={entry} />
          ))}
        </ol>
      </div>
      <p class="hint">
        {wanted.length > shown.length ? `The newest ${shown.length} of ${wanted.length} events. ` : ""}
        This page keeps the newest {MAX_ENTRIES}
        {eventLog.dropped > 0 ? `; ${eventLog.dropped} older ones were dropped` : ""}.
      </p>
    </>
  );
}

function LogRow({ entry: { atMs, group, turnId, text, count } }: { entry: LogEntry }) {
  return (
    <li class={`log-row log-${group}`}>
      <time class="log-time">{formatClock(atMs)}</time>
      <span class="log-turn-id">{turnId ?? ""}</span>
      <span class="log-text">
        {text}
        {count > 1 && <span class="log-count"> ×{count}</span>}
      </span>
    </li>
  );
}
