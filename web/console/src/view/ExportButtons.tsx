import type { Conversation } from "../conversation_state";
import { formatTranscript, MEDIA_TYPES, type TranscriptFormat } from "../transcript";

const FORMATS: readonly { format: TranscriptFormat; name: string }[] = [
  { format: "txt", name: "Text" },
  { format: "vtt", name: "Subtitles" },
  { format: "json", name: "JSON" },
];

export function ExportButtons({ conversation: { turns, choices, settings } }: { conversation: Conversation }) {
  if (turns.length === 0) return <p class="empty">The transcript can be saved from here.</p>;
  const persona = choices?.personas.find(({ id }) => id === settings?.persona);
  return (
    <div class="actions">
      {FORMATS.map(({ format, name }) => (
        <button
          key={format}
          class="button"
          type="button"
          aria-label={`${name}: save the transcript`}
          onClick={() => {
            save(`conversation.${format}`, MEDIA_TYPES[format], formatTranscript(turns, format, persona?.name));
          }}
        >
          {name}
        </button>
      ))}
    </div>
  );
}

// The page's content security policy blocks blob: URLs; a data: URL suffices for text.
function save(name: string, mediaType: string, text: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = `data:${mediaType};charset=utf-8,${encodeURIComponent(text)}`;
  link.click();
}
