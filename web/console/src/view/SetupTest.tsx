import { useState } from "preact/hooks";
import type { AnchorDesk } from "../desk";
import { LevelFeed } from "../level_feed";
import { microphoneAdvice } from "../plain_words";
import type { Preferences } from "../preferences";
import { playBack, record } from "../setup_recording";
import { type Finding, findings, measured } from "../setup_test";
import { Meter } from "./Meter";

type Step = "ready" | "recording" | "playing" | "done";

const SAYS: Readonly<Record<Step, string>> = {
  ready: "Speak for three seconds, hear yourself, and see what was measured. Nothing leaves this page.",
  recording: "Recording. Say a sentence or two…",
  playing: "This is how you sound.",
  done: "What was measured:",
};

/** Lets the user try microphone and loudspeaker, without the anchor. */
export function SetupTest({ desk, preferences }: { desk: AnchorDesk; preferences: Preferences }) {
  const [step, go] = useState<Step>("ready");
  const [found, tell] = useState<readonly Finding[]>([]);
  const [feed] = useState(() => new LevelFeed());
  const test = async () => {
    tell([]);
    // What is said here is not for the anchor.
    if (desk.desk.conversation.microphone === "on") await desk.mute("");
    try {
      go("recording");
      const { frames, traits } = await record(preferences.microphone || undefined, (peak) => {
        feed.push(peak);
      });
      feed.clear();
      go("playing");
      tell(findings(measured(frames), traits));
      const played = await playBack(frames, preferences.speaker || undefined);
      if (!played) tell((before) => [...before, { well: false, text: "The loudspeaker did not play." }]);
    } catch (error) {
      tell([{ well: false, text: microphoneAdvice(error) }]);
    }
    go("done");
  };
  const busy = step === "recording" || step === "playing";
  return (
    <div class="setup-test" role="group" aria-label="Test my setup">
      <button class="button" type="button" disabled={busy} onClick={() => void test()}>
        Test my setup
      </button>
      <p class="hint" role="status">
        {SAYS[step]}
      </p>
      {step === "recording" && <Meter feed={feed} on judged speech={false} />}
      <ul class="findings" aria-label="What was measured">
        {found.map(({ well, text }) => (
          <li key={text} class={well ? "finding well" : "finding unwell"}>
            {text}
          </li>
        ))}
      </ul>
    </div>
  );
}
