import { useState } from "preact/hooks";
import { checkDevice, type Finding, measureLevels } from "../device_check";
import { playRecording, recordMicrophone } from "../device_recording";
import { microphoneErrorMessage } from "../error_messages";
import { LevelFeed } from "../level";
import type { Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import { LevelMeter } from "./LevelMeter";

type Step = "ready" | "recording" | "playing" | "done";

const STEP_TEXTS: Readonly<Record<Step, string>> = {
  ready: "Speak for three seconds, hear yourself, and see the results. Nothing leaves this page.",
  recording: "Recording. Say a sentence or two…",
  playing: "This is how you sound.",
  done: "Results:",
};

/** Tests microphone and loudspeaker, without the anchor. */
export function DeviceCheck({ store, preferences }: { store: ConsoleStore; preferences: Preferences }) {
  const [step, setStep] = useState<Step>("ready");
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const [feed] = useState(() => new LevelFeed());
  const test = async () => {
    setFindings([]);
    // The anchor must not hear the test.
    await store.closeMicrophone("");
    try {
      setStep("recording");
      const { frames, settings } = await recordMicrophone(preferences.microphone || undefined, (peak) => {
        feed.push(peak);
      });
      feed.clear();
      setStep("playing");
      setFindings(checkDevice(measureLevels(frames), settings));
      const played = await playRecording(frames, preferences.speaker || undefined);
      if (!played) setFindings((before) => [...before, { ok: false, text: "The loudspeaker did not play." }]);
    } catch (error) {
      setFindings([{ ok: false, text: microphoneErrorMessage(error) }]);
    }
    setStep("done");
  };
  const busy = step === "recording" || step === "playing";
  return (
    <div class="device-check" role="group" aria-label="Test my setup">
      <button class="button" type="button" disabled={busy} onClick={() => void test()}>
        Test my setup
      </button>
      <p class="hint" role="status">
        {STEP_TEXTS[step]}
      </p>
      {step === "recording" && <LevelMeter feed={feed} on showHints userSpeaking={false} />}
      <ul class="findings" aria-label="Results">
        {findings.map(({ ok, text }) => (
          <li key={text} class={ok ? "finding finding-ok" : "finding finding-problem"}>
            {text}
          </li>
        ))}
      </ul>
    </div>
  );
}
