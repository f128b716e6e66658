import { useEffect, useRef, useState } from "preact/hooks";
import type { Finding } from "../device_check";
import { microphoneErrorMessage } from "../error_messages";
import type { ConsoleStore } from "../store";
import { checkRecording } from "../voice_quality";
import { decodeSamples, recordVoice, type VoiceRecorder } from "../voice_recording";

/** A recording, and whether an engine would refuse it. */
export interface Recorded {
  audio: Blob;
  unusable: boolean;
}

interface VoiceRecordingProps {
  name: string;
  store: ConsoleStore;
  busy: boolean;
  onRecorded: (recorded: Recorded | null) => void;
  /** Whether to rate its quality: for a voice, not for a consent. */
  checks?: boolean;
}

/** Records with the microphone, or takes a file. */
export function VoiceRecording({ name, store, busy, onRecorded, checks = false }: VoiceRecordingProps) {
  const recorder = useRef<VoiceRecorder | null>(null);
  const [recording, setRecording] = useState(false);
  const [findings, setFindings] = useState<readonly Finding[]>([]);
  const isGone = useRef(false);
  useEffect(
    () => () => {
      isGone.current = true;
      void recorder.current?.stop();
    },
    [],
  );
  const take = async (audio: Blob) => {
    const decoded = await decodeSamples(audio);
    // The server decodes more formats than the browser, and says itself what is wrong.
    const rated = decoded && checks ? checkRecording(decoded.samples, decoded.rateHz) : [];
    setFindings(decoded && !checks ? [{ ok: true, text: lengthText(decoded.samples.length / decoded.rateHz) }] : rated);
    onRecorded({ audio, unusable: rated.some(({ fatal }) => fatal) });
  };
  const stop = async () => {
    const running = recorder.current;
    if (!running) return;
    recorder.current = null;
    setRecording(false);
    await take(await running.stop());
  };
  const start = async () => {
    setFindings([]);
    onRecorded(null);
    // The anchor must not hear the recording.
    await store.closeMicrophone("");
    try {
      const opened = await recordVoice(store.state.preferences.microphone || undefined, () => void stop());
      // The dialog was closed while the browser asked for permission.
      if (isGone.current) {
        await opened.stop();
        return;
      }
      recorder.current = opened;
      setRecording(true);
    } catch (error) {
      setFindings([{ ok: false, text: microphoneErrorMessage(error) }]);
    }
  };
  return (
    <div class="device-check" role="group" aria-label={name}>
      <span class="actions">
        <button class="button" type="button" disabled={busy} onClick={() => void (recording ? stop() : start())}>
          {recording ? "Stop" : "Record"}
        </button>
        <input
          type="file"
          accept="audio/*"
          aria-label={`${name}: file`}
          disabled={busy || recording}
          onChange={({ currentTarget }) => {
            const file = currentTarget.files?.[0];
            if (file) void take(file);
          }}
        />
      </span>
      <p class="hint" role="status">
        {recording ? "Recording. Speak…" : name}
      </p>
      <ul class="findings" aria-label={`${name}: quality`}>
        {findings.map(({ ok, text }) => (
          <li key={text} class={ok ? "finding finding-ok" : "finding finding-problem"}>
            {text}
          </li>
        ))}
      </ul>
    </div>
  );
}

function lengthText(seconds: number): string {
  return `Recorded (${seconds.toFixed(1)} s).`;
}
