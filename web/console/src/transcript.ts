/** Exports a conversation as text, WebVTT subtitles or JSON. */
import type { Turn } from "./turn";

export type TranscriptFormat = "txt" | "vtt" | "json";

export const MEDIA_TYPES: Readonly<Record<TranscriptFormat, string>> = {
  txt: "text/plain",
  vtt: "text/vtt",
  json: "application/json",
};

// Longest duration of a cue, in milliseconds.
const LONGEST_CUE_MS = 7000;
// Assumed speaking rate where there are no marks, in characters per second.
const CHARS_PER_S = 15;
// A cue ends with a sentence, or before it exceeds this many characters: two lines of a subtitle.
const CUE_CHARS = 84;

interface Cue {
  speaker: string;
  startMs: number;
  endMs: number;
  text: string;
}

/** The turns in `format`. Of an interrupted reply, only the heard part counts. */
export function formatTranscript(turns: readonly Turn[], format: TranscriptFormat, anchorName = "Anchor"): string {
  switch (format) {
    case "txt":
      return toText(turns, anchorName);
    case "vtt":
      return toVtt(turns, anchorName);
    case "json":
      return toJson(turns, anchorName);
  }
}

/** Milliseconds as a WebVTT timestamp: `00:01:02.345`. */
export function vttTimestamp(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const clock = [whole / 3_600_000, (whole / 60_000) % 60, (whole / 1000) % 60].map(two).join(":");
  return `${clock}.${String(whole % 1000).padStart(3, "0")}`;
}

function toText(turns: readonly Turn[], anchorName: string): string {
  const lines = turns.flatMap((turn) => [
    ...(turn.userText ? [`You: ${turn.userText}`] : []),
    ...(heardText(turn) ? [`${anchorName}: ${heardText(turn)}${turn.interrupted ? " …" : ""}`] : []),
    "",
  ]);
  return lines.join("\n");
}

function toVtt(turns: readonly Turn[], anchorName: string): string {
  const cues = turns
    .flatMap((turn) => [...userCues(turn), ...replyCues(turn, anchorName)])
    .sort((a, b) => a.startMs - b.startMs)
    .map(
      ({ speaker, startMs, endMs, text }) =>
        `${vttTimestamp(startMs)} --> ${vttTimestamp(endMs)}\n<v ${escapeVtt(speaker)}>${escapeVtt(text)}\n`,
    );
  return ["WEBVTT\n", ...cues].join("\n");
}

function toJson(turns: readonly Turn[], anchorName: string): string {
  const exported = turns.map((turn) => ({
    turn: turn.id,
    user: turn.userText,
    user_from_ms: turn.userFromMs,
    user_to_ms: turn.userToMs,
    reply: turn.replyText,
    reply_heard: heardText(turn),
    reply_from_ms: turn.replyFromMs,
    interrupted: turn.interrupted,
    engine: turn.engine,
    ...(turn.failure ? { failure: turn.failure } : {}),
    marks: turn.marks.map(({ textStart, textEnd, offsetMs }) => ({
      text_start: textStart,
      text_end: textEnd,
      offset_ms: offsetMs,
    })),
  }));
  return `${JSON.stringify({ anchor: anchorName, turns: exported }, null, 2)}\n`;
}

function heardText(turn: Turn): string {
  return (turn.interrupted ? (turn.heardText ?? "") : turn.replyText).trim();
}

function userCues(turn: Turn): Cue[] {
  if (!turn.userText || turn.userFromMs === null) return [];
  const endMs = turn.userToMs ?? turn.userFromMs + estimateSpeechMs(turn.userText);
  return [
    { speaker: "You", startMs: turn.userFromMs, endMs: Math.max(endMs, turn.userFromMs + 500), text: turn.userText },
  ];
}

function replyCues(turn: Turn, speaker: string): Cue[] {
  const text = heardText(turn);
  const fromMs = turn.replyFromMs;
  if (!text || fromMs === null) return [];
  const pieces = cueTexts(turn);
  if (pieces.length === 0) return [{ speaker, startMs: fromMs, endMs: fromMs + estimateSpeechMs(text), text }];
  const endMs = turn.playedMs;
  return pieces.map((piece, index) => {
    const startMs = fromMs + piece.offsetMs;
    const limitMs = startMs + LONGEST_CUE_MS;
    const next = pieces[index + 1];
    const last = endMs !== null && endMs > piece.offsetMs ? fromMs + endMs : startMs + estimateSpeechMs(piece.text);
    return { speaker, startMs, endMs: Math.min(limitMs, next ? fromMs + next.offsetMs : last), text: piece.text };
  });
}

// Joins the marked words into cues, each up to the end of a sentence or the length of a subtitle.
function cueTexts(turn: Turn): { offsetMs: number; text: string }[] {
  const points = Array.from(turn.replyText);
  const heard = turn.interrupted ? Array.from(turn.heardText ?? "").length : points.length;
  const joined: { offsetMs: number; text: string }[] = [];
  let open = false;
  for (const mark of turn.marks.filter(({ textStart }) => textStart < heard)) {
    const word = points.slice(mark.textStart, Math.min(mark.textEnd, heard)).join("").trim();
    const last = joined.at(-1);
    if (open && last && last.text.length + word.length < CUE_CHARS) last.text = `${last.text} ${word}`.trim();
    else joined.push({ offsetMs: mark.offsetMs, text: word });
    open = !/[.!?…。！？]["»”]?$/u.test(word);
  }
  return joined.filter(({ text }) => text !== "");
}

function estimateSpeechMs(text: string): number {
  return Math.min(LONGEST_CUE_MS, Math.max(1000, (text.length * 1000) / CHARS_PER_S));
}

function escapeVtt(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/\s*\n+\s*/g, " ");
}
