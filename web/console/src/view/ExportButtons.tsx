import type { Conversation } from "../conversation_state";
import { saveText } from "../download";
import type { TranscriptFormat } from "../transcript";

const FORMATS: readonly { format: TranscriptFormat; name: string }[] = [
  { format: "txt", name: "Text" },
  { format: "srt", name: "SRT" },
  { format: "vtt", name: "WebVTT" },
  { format: "json", name: "JSON" },
];

export function ExportButtons({ conversation: { turns } }: { conversation: Conversation }) {
  if (turns.length === 0) return <p class="empty">The transcript can be saved from here.</p>;
  const save = async (format: TranscriptFormat): Promise<void> => {
    const { fileName, formatTranscript, MEDIA_TYPES } = await import("../transcript");
    saveText(fileName(turns, `.${format}`), MEDIA_TYPES[format], formatTranscript(turns, format));
  };
  return (
    <div class="actions">
      {FORMATS.map(({ format, name }) => (
        <button
          key={format}
          class="button"
          type="button"
          aria-label={`${name}: save the transcript`}
          onClick={() => void save(format)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}
