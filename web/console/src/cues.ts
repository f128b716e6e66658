/** Makes cues of turns: pieces of text with their times, as subtitles show them one after the other. */
import { heardReply, type Turn } from "./turn";

// Longest and shortest duration of a cue, in milliseconds.
const LONGEST_CUE_MS = 7000;
const SHORTEST_CUE_MS = 300;
// Assumed speaking rate where there are no marks, in characters per second.
const CHARS_PER_S = 15;
// A cue ends with a sentence, or before it exceeds this many characters: two lines of a subtitle.
const CUE_CHARS = 84;
const SENTENCE_END = /[.!?…。！？।]["»”]?$/u;
/** Name of the person who talks with the anchor, and of an anchor whose name is not known. */
const USER_NAME = "You";
const ANCHOR_NAME = "Anchor";

/** A piece of text; times are in milliseconds since 1970. `language` is ISO 639-1, empty when unknown. */
export interface Cue {
  speaker: string;
  language: string;
  startMs: number;
  endMs: number;
  text: string;
}

/**
 * The cues of all turns in the order of their times; none begins before the one before it ends. Words that were
 * corrected or not heard are left out, and so are turns without a time.
 */
export function cuesOf(turns: readonly Turn[]): Cue[] {
  const cues = turns
    .filter(({ replacedBy }) => replacedBy === null)
    .flatMap((turn) => [...userCues(turn), ...replyCues(turn)])
    .sort((one, other) => one.startMs - other.startMs);
  let freeFromMs = Number.NEGATIVE_INFINITY;
  return cues.map((cue, index) => {
    const startMs = Math.max(cue.startMs, freeFromMs);
    const nextMs = cues[index + 1]?.startMs ?? Number.POSITIVE_INFINITY;
    const endMs = Math.max(startMs + SHORTEST_CUE_MS, Math.min(cue.endMs, nextMs));
    freeFromMs = endMs;
    return { ...cue, startMs, endMs };
  });
}

/** Name of a turn's speaker. */
export function speakerOf(turn: Turn): string {
  return turn.speaker || ANCHOR_NAME;
}

function userCues(turn: Turn): Cue[] {
  const { userText, userFromMs, userToMs, userLanguage } = turn;
  if (!userText || userFromMs === null) return [];
  const endMs = Math.max(userToMs ?? 0, userFromMs + SHORTEST_CUE_MS);
  const spokenMs = endMs - userFromMs > SHORTEST_CUE_MS ? endMs - userFromMs : estimateSpeechMs(userText);
  return spread(userText, userFromMs, userFromMs + spokenMs).map((piece) => ({
    speaker: USER_NAME,
    language: userLanguage,
    ...piece,
  }));
}

function replyCues(turn: Turn): Cue[] {
  const text = heardReply(turn);
  const { replyFromMs, replyToMs, playedMs } = turn;
  if (!text || replyFromMs === null) return [];
  const of = { speaker: speakerOf(turn), language: turn.replyLanguage };
  const marked = markedPieces(turn);
  if (marked.length === 0) {
    const endMs = Math.max(replyToMs ?? 0, replyFromMs + (playedMs ?? estimateSpeechMs(text)));
    return spread(text, replyFromMs, endMs).map((piece) => ({ ...of, ...piece }));
  }
  const at = (offsetMs: number): number =>
    replyFromMs + offsetMs + (turn.shifts.findLast(({ fromMs }) => fromMs <= offsetMs)?.byMs ?? 0);
  return marked.map(({ offsetMs, text: words }, index) => {
    const startMs = at(offsetMs);
    const next = marked[index + 1];
    const lastMs = playedMs !== null && playedMs > offsetMs ? at(playedMs) : startMs + estimateSpeechMs(words);
    return {
      ...of,
      startMs,
      endMs: Math.min(startMs + LONGEST_CUE_MS, next ? at(next.offsetMs) : lastMs),
      text: words,
    };
  });
}

// Joins the marked words into pieces, each up to the end of a sentence or the length of a subtitle.
function markedPieces(turn: Turn): { offsetMs: number; text: string }[] {
  const points = Array.from(turn.replyText);
  const heard = turn.interrupted ? Array.from(turn.heardText ?? "").length : points.length;
  const joined: { offsetMs: number; text: string }[] = [];
  let open = false;
  for (const mark of turn.marks.filter(({ textStart }) => textStart < heard)) {
    const word = oneLine(points.slice(mark.textStart, Math.min(mark.textEnd, heard)).join(""));
    const last = joined.at(-1);
    if (open && last && last.text.length + word.length < CUE_CHARS) last.text = `${last.text} ${word}`.trim();
    else joined.push({ offsetMs: mark.offsetMs, text: word });
    open = !SENTENCE_END.test(word);
  }
  return joined.filter(({ text }) => text !== "");
}

/** Divides a text into pieces that end with a sentence, or at the length of a subtitle. */
export function subtitlePieces(text: string): string[] {
  const pieces: string[] = [];
  for (const word of oneLine(text).split(" ")) {
    const last = pieces.at(-1);
    if (last !== undefined && !SENTENCE_END.test(last) && last.length + word.length < CUE_CHARS)
      pieces[pieces.length - 1] = `${last} ${word}`;
    else pieces.push(word);
  }
  return pieces.filter((piece) => piece !== "");
}

// Divides a text without marks into pieces, each for its share of the time.
function spread(text: string, fromMs: number, toMs: number): { startMs: number; endMs: number; text: string }[] {
  const pieces = subtitlePieces(text);
  const chars = pieces.reduce((sum, piece) => sum + piece.length, 0);
  let before = 0;
  return pieces.map((piece) => {
    const startMs = fromMs + ((toMs - fromMs) * before) / chars;
    before += piece.length;
    const endMs = fromMs + ((toMs - fromMs) * before) / chars;
    return { startMs, endMs: Math.min(endMs, startMs + LONGEST_CUE_MS), text: piece };
  });
}

function oneLine(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}

function estimateSpeechMs(text: string): number {
  return Math.min(LONGEST_CUE_MS, Math.max(1000, (text.length * 1000) / CHARS_PER_S));
}
