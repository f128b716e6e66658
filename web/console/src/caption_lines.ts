/** What a page that shows nothing but captions has on it now. Pure: no socket, no DOM. */
import { subtitlePieces } from "./cues";

/** A turn as `/ws/captions` sends it. */
export interface CaptionMessage {
  type: "caption";
  turn_id: number;
  user_text: string;
  user_language: string;
  user_final: boolean;
  speaker: string;
  reply_text: string;
  reply_language: string;
  spoken_chars: number;
  over: boolean;
  removed: boolean;
}

/** A line on the page: who speaks it, and in which language. */
export interface CaptionLine {
  kind: "user" | "anchor";
  speaker: string;
  language: string;
  text: string;
}

// Turns that are kept; the server sends no more.
const TURNS = 3;

/** The newest turns after `message`, oldest first. */
export function updateCaptions(captions: readonly CaptionMessage[], message: CaptionMessage): CaptionMessage[] {
  const others = captions.filter(({ turn_id: id }) => id !== message.turn_id);
  const all = message.removed ? others : [...others, message];
  return all.sort((one, other) => one.turn_id - other.turn_id).slice(-TURNS);
}

/**
 * The lines of the newest turns: the user's words until the reply sounds, and of the reply the piece of two subtitle
 * lines that sounds, up to the word that does.
 */
export function captionLines(captions: readonly CaptionMessage[]): CaptionLine[] {
  const sounding = captions.findLast(({ over, spoken_chars: spoken }) => !over && spoken > 0);
  const newest = captions.at(-1);
  const lines: CaptionLine[] = [];
  const anchorTurn = sounding ?? (newest && newest.spoken_chars > 0 ? newest : undefined);
  if (anchorTurn) {
    const { speaker, reply_language: language, reply_text: text, spoken_chars: spoken } = anchorTurn;
    lines.push({ kind: "anchor", speaker, language, text: spokenPiece(text, spoken) });
  }
  if (newest && newest.spoken_chars === 0 && newest.user_text)
    lines.push({ kind: "user", speaker: "", language: newest.user_language, text: newest.user_text });
  return lines;
}

// The end of the text that has sounded, from the beginning of the piece that it is in.
function spokenPiece(text: string, spokenChars: number): string {
  const spoken = Array.from(text).slice(0, spokenChars).join("");
  return subtitlePieces(spoken).at(-1) ?? "";
}
