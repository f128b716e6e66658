import { useEffect, useRef, useState } from "preact/hooks";
import { HINT_WORDS, type LevelHint, levelHint, meterShare } from "../level";
import type { LevelFeed } from "../level_feed";

const HINT_EVERY_MS = 500;
// Of full scale, 0 to 1 on the meter.
const LOUD = 0.985;

interface MeterProps {
  feed: LevelFeed;
  on: boolean;
  /** Whether to hint: while the anchor speaks, echo cancellation may leave nothing of the microphone. */
  judged: boolean;
  /** Whether the user speaks now. */
  speech: boolean;
}

/** How loud the microphone is, and what to do about it if it is too loud or too quiet. */
export function Meter({ feed, on, judged, speech }: MeterProps) {
  const bar = useRef<HTMLSpanElement>(null);
  const [hint, tell] = useState<LevelHint>("");
  const spoke = useRef(false);
  spoke.current ||= speech;
  useEffect(() => {
    const unwatch = feed.watch((peak) => {
      if (!bar.current) return;
      bar.current.style.transform = `scaleX(${meterShare(peak).toFixed(3)})`;
      bar.current.classList.toggle("meter-clipped", peak >= LOUD);
    });
    const timer = setInterval(() => {
      tell(on && judged ? levelHint(feed.peaks, spoke.current) : "");
      spoke.current = false;
    }, HINT_EVERY_MS);
    return () => {
      unwatch();
      clearInterval(timer);
    };
  }, [feed, on, judged]);
  return (
    <div class="meter-box">
      <span class={on ? "meter" : "meter meter-off"} aria-hidden="true">
        <span class="meter-bar" ref={bar} />
      </span>
      {hint && (
        <span class="meter-hint" role="status">
          {HINT_WORDS[hint]}
        </span>
      )}
    </div>
  );
}
