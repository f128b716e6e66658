import "../../style/lab.css";
import { MICROPHONE_HZ } from "@ai-anchor/client";
import { useState } from "preact/hooks";
import { formatDuration } from "../../format";
import { decodeRecording, MAX_FILE_BYTES, MAX_SECONDS, UnusableRecording, withSilence } from "../../recorded_question";
import { useStore } from "../../use_store";
import type { DrawerContentProps } from "./Drawer";

interface Loaded {
  name: string;
  samples: Int16Array;
}

/** Plays a WAV file of the user's as if it were spoken, as often as wanted. */
export default function RecordingPanel({ store }: DrawerContentProps) {
  const { conversation, preferences } = useStore(store);
  const [loaded, setLoaded] = useState<Loaded | null>(null);
  const [problem, setProblem] = useState("");
  const load = async (file: File): Promise<void> => {
    setLoaded(null);
    setProblem("");
    try {
      setLoaded({ name: file.name, samples: await readRecording(file) });
    } catch (error) {
      if (!(error instanceof UnusableRecording)) throw error;
      setProblem(error.message);
    }
  };
  const play = ({ name, samples }: Loaded) => {
    const sent = preferences.mode === "push" ? samples : withSilence(samples);
    void store.playRecording(name, sent, lengthMs(samples));
  };
  return (
    <>
      <label class="field">
        <span class="field-name">WAV file</span>
        <input
          type="file"
          accept=".wav,audio/wav,audio/x-wav"
          onChange={({ currentTarget: { files } }) => {
            if (files?.[0]) void load(files[0]);
          }}
        />
      </label>
      {problem && (
        <p class="failure" role="alert">
          {problem}
        </p>
      )}
      <div class="actions">
        <button
          class="button"
          type="button"
          disabled={!loaded || conversation.recording !== "" || conversation.connection.state !== "open"}
          onClick={() => {
            if (loaded) play(loaded);
          }}
        >
          Play as if spoken
        </button>
      </div>
      <p class="hint">
        {loaded ? `${loaded.name}: ${formatDuration(lengthMs(loaded.samples))}. ` : ""}
        The same question again, at the speed of speech and on the microphone’s way: at most {MAX_SECONDS} seconds. The
        file stays on this page; its sound goes to the server like your voice.
      </p>
    </>
  );
}

async function readRecording(file: File): Promise<Int16Array> {
  if (file.size > MAX_FILE_BYTES) throw new UnusableRecording("The file is too large: at most 12 MB.");
  let bytes: ArrayBuffer;
  try {
    bytes = await file.arrayBuffer();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    throw new UnusableRecording("The file cannot be read. Was it moved?");
  }
  return decodeRecording(bytes);
}

function lengthMs({ length }: Int16Array): number {
  return (length * 1000) / MICROPHONE_HZ;
}
