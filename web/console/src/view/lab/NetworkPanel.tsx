import "../../style/lab.css";
import { useEffect, useState } from "preact/hooks";
import { formatDuration } from "../../format";
import { newestAnswer } from "../../latency";
import { soundPath } from "../../network";
import { useStore } from "../../use_store";
import type { DrawerContentProps } from "./Drawer";
import { SpeechGraph } from "./SpeechGraph";

const PING_INTERVAL_MS = 1000;

/** What the microphone hears, round trips, the player's buffer, and what lies between "sent" and "heard". Measures while it is shown. */
export default function NetworkPanel({ store }: DrawerContentProps) {
  const { network } = store;
  const [, setMeasurements] = useState(0);
  useEffect(() => {
    const unsubscribe = network.subscribe(() => {
      setMeasurements((count) => count + 1);
    });
    store.ping();
    const timer = setInterval(() => {
      store.ping();
    }, PING_INTERVAL_MS);
    return () => {
      unsubscribe();
      clearInterval(timer);
    };
  }, [store, network]);
  const { conversation } = useStore(store);
  const trips = network.roundTrips.statistics;
  const newest = newestAnswer(conversation.turns);
  const path = newest && soundPath(newest);
  return (
    <>
      <SpeechGraph store={store} />
      <dl class="figures">
        <Figure name="Round trip" value={trips && formatDuration(trips.medianMs)} />
        <Figure name="Jitter" value={trips && formatDuration(trips.jitterMs)} />
        <Figure name="Buffer" value={network.buffer && formatDuration(network.buffer.bufferedMs)} />
      </dl>
      <p class="hint">{tripsLine(trips?.count ?? 0, network.roundTrips.lost)}</p>
      {network.buffer && <p class="hint">{underrunsLine(network.buffer)}</p>}
      {path && (
        <p class="hint">
          Last answer, from sent to heard: {formatDuration(path.totalMs)}. This page took {formatDuration(path.pageMs)}{" "}
          of it, for its buffer and the sound card. The other {formatDuration(path.transferMs)} are the sound’s way here
          and the report’s way back: the network, and waiting at both ends.
        </p>
      )}
    </>
  );
}

function Figure({ name, value }: { name: string; value: string | null }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value ?? "–"}</dd>
    </div>
  );
}

function tripsLine(count: number, lost: number): string {
  const measured = `Round trips to the session and back, one a second: the median of the last ${count}`;
  return `${measured}; jitter is how much one differs from the next.${lost > 0 ? ` ${lost} were not answered.` : ""}`;
}

function underrunsLine({ underruns, underrunMs }: { underruns: number; underrunMs: number }): string {
  if (underruns === 0) return "The buffer has not run empty in the middle of a reply.";
  const times = underruns === 1 ? "once" : `${underruns} times`;
  return `The buffer ran empty in the middle of a reply ${times}, for ${formatDuration(underrunMs)} in total.`;
}
