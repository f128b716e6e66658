import { useEffect, useRef, useState } from "preact/hooks";
import { GRAPH_MS, type GraphPoint, graphPath, levelPoint, withPoint } from "../../speech_graph";
import type { ConsoleStore } from "../../store";
import { useStore } from "../../use_store";

const WIDTH = 340;
const HEIGHT = 64;
const DRAW_INTERVAL_MS = 100;
// The level comes every 20 ms, the probability about every 130.
const GAPS_MS = { level: 200, probability: 500 };

/** The microphone's level and the probability of speech over the last seconds; subscribes while it is shown. */
export function SpeechGraph({ store }: { store: ConsoleStore }) {
  const points = useRef<{ level: GraphPoint[]; probability: GraphPoint[] }>({ level: [], probability: [] });
  const [nowMs, setNowMs] = useState(0);
  const isOpen = useStore(store).conversation.connection.state === "open";
  useEffect(() => {
    const unsubscribeLevel = store.microphoneLevel.subscribe((peak) => {
      points.current.level = withPoint(points.current.level, levelPoint(peak, performance.now()));
    });
    const unsubscribeSpeech = store.speechProbability.subscribe((value) => {
      points.current.probability = withPoint(points.current.probability, { atMs: performance.now(), value });
    });
    const timer = setInterval(() => {
      setNowMs(performance.now());
    }, DRAW_INTERVAL_MS);
    return () => {
      unsubscribeLevel();
      unsubscribeSpeech();
      clearInterval(timer);
    };
  }, [store]);
  useEffect(() => {
    if (!isOpen) return;
    // A reconnect ends the subscription.
    store.send({ case: "setSpeechActivity", value: { enabled: true } });
    return () => {
      store.send({ case: "setSpeechActivity", value: { enabled: false } });
    };
  }, [store, isOpen]);
  const { level, probability } = points.current;
  const path = (line: readonly GraphPoint[], gapMs: number) =>
    graphPath(line, { nowMs, width: WIDTH, height: HEIGHT, gapMs });
  return (
    <figure class="speech-graph">
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        role="img"
        aria-label={`The last ${GRAPH_MS / 1000} seconds of the microphone’s level and of the probability of speech`}
      >
        <line class="graph-half" x1="0" x2={WIDTH} y1={HEIGHT / 2} y2={HEIGHT / 2} />
        <path class="graph-level" d={path(level, GAPS_MS.level)} />
        <path class="graph-speech" d={path(probability, GAPS_MS.probability)} />
      </svg>
      <figcaption class="hint">
        <span class="graph-key graph-key-level" /> level, -60 dB to 0 <span class="graph-key graph-key-speech" />{" "}
        probability of speech, 0 to 100 %: the last {GRAPH_MS / 1000} seconds of an open microphone
      </figcaption>
    </figure>
  );
}
