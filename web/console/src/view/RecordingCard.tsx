import { saveBlob, saveText } from "../download";
import { formatClock } from "../format";
import type { Recording } from "../recorder";
import type { TranscriptFormat } from "../transcript";
import type { Turn } from "../turn";
import type { RecordingControl } from "../use_recording";

/** Records both sides of the conversation, and offers the last recording with its subtitles. */
export function RecordingCard({ recording, turns }: { recording: RecordingControl; turns: readonly Turn[] }) {
  const { isRunning, lengthMs, last, failure } = recording;
  return (
    <section class="card" aria-label="Recording">
      <h2>Recording</h2>
      <p class="hint">Both sides, each in a file of its own, on this computer only.</p>
      <div class="actions">
        <button
          class="button"
          type="button"
          aria-pressed={isRunning}
          onClick={() => void (isRunning ? recording.stop() : recording.start())}
        >
          <span class="recording-light" data-on={isRunning} />
          {isRunning ? `Stop recording, ${formatClock(lengthMs)}` : "Record both sides"}
        </button>
      </div>
      {failure && (
        <p class="failure" role="alert">
          {failure}
        </p>
      )}
      {last && <RecordingFiles last={last} turns={turns} />}
    </section>
  );
}

function RecordingFiles({ last, turns }: { last: Recording; turns: readonly Turn[] }) {
  const { fromMs, lengthMs, microphone, reply } = last;
  const saveSound = async (file: File, ending: string): Promise<void> => {
    const { fileName } = await import("../transcript");
    saveBlob(fileName(turns, ending, fromMs), file);
  };
  const saveSubtitles = async (format: TranscriptFormat): Promise<void> => {
    const { fileName, formatTranscript, MEDIA_TYPES } = await import("../transcript");
    const recorded = turns.filter(
      ({ userFromMs, replyFromMs }) => (userFromMs ?? replyFromMs ?? 0) < fromMs + lengthMs,
    );
    saveText(fileName(turns, `.${format}`, fromMs), MEDIA_TYPES[format], formatTranscript(recorded, format, fromMs));
  };
  return (
    <>
      <p class="hint">The last recording, {formatClock(lengthMs)} long. The next one replaces it.</p>
      <div class="actions" role="group" aria-label="Files of the recording">
        <button class="button" type="button" onClick={() => void saveSound(microphone, "-you.wav")}>
          You (WAV)
        </button>
        <button class="button" type="button" onClick={() => void saveSound(reply, "-anchor.wav")}>
          Anchor (WAV)
        </button>
        <button class="button" type="button" onClick={() => void saveSubtitles("srt")}>
          Its SRT
        </button>
        <button class="button" type="button" onClick={() => void saveSubtitles("vtt")}>
          Its WebVTT
        </button>
      </div>
    </>
  );
}

/** Says on every page of the console that a recording runs, and stops it. */
export function RecordingSign({ recording }: { recording: RecordingControl }) {
  if (!recording.isRunning) return null;
  return (
    <div class="recording-sign" role="group" aria-label="Recording is on">
      <span class="recording-light" data-on />
      <span>Recording {formatClock(recording.lengthMs)}</span>
      <button class="quiet" type="button" onClick={() => void recording.stop()}>
        Stop
      </button>
    </div>
  );
}
