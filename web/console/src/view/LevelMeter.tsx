import { useEffect, useRef, useState } from "preact/hooks";
import { CLIPPED_PEAK, LEVEL_HINT_TEXTS, type LevelFeed, type LevelHint, levelHint, meterFraction } from "../level";

const HINT_INTERVAL_MS = 500;

interface LevelMeterProps {
  feed: LevelFeed;
  on: boolean;
  /** Whether to show hints; not while the anchor speaks, as echo cancellation may then mute the microphone. */
  showHints: boolean;
  /** Whether the user is speaking. */
  userSpeaking: boolean;
}

/** The microphone's level, with a hint when it is too loud or too quiet. */
export function LevelMeter({ feed, on, showHints, userSpeaking }: LevelMeterProps) {
  const bar = useRef<HTMLSpanElement>(null);
  const [hint, setHint] = useState<LevelHint>("");
  const spoke = useRef(false);
  spoke.current ||= userSpeaking;
  useEffect(() => {
    const unsubscribe = feed.subscribe((peak) => {
      if (!bar.current) return;
      bar.current.style.transform = `scaleX(${meterFraction(peak).toFixed(3)})`;
      bar.current.classList.toggle("meter-clipped", peak >= CLIPPED_PEAK);
    });
    const timer = setInterval(() => {
      setHint(on && showHints ? levelHint(feed.peaks, spoke.current) : "");
      spoke.current = false;
    }, HINT_INTERVAL_MS);
    return () => {
      unsubscribe();
      clearInterval(timer);
    };
  }, [feed, on, showHints]);
  return (
    <div class="meter-box">
      <span class={on ? "meter" : "meter meter-off"} aria-hidden="true">
        <span class="meter-bar" ref={bar} />
      </span>
      {hint && (
        <span class="meter-hint" role="status">
          {LEVEL_HINT_TEXTS[hint]}
        </span>
      )}
    </div>
  );
}
