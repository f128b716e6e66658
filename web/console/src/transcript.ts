/** A conversation as a file: for reading, for a player, for programs. */
import type { Turn } from "./turn";

export type TranscriptFormat = "txt" | "vtt" | "json";

export const MEDIA_TYPES: Readonly<Record<TranscriptFormat, string>> = {
  txt: "text/plain",
  vtt: "text/vtt",
  json: "application/json",
};

// A cue that nothing else limits stays so long, in milliseconds.
const LONGEST_CUE_MS = 7000;
// How fast people speak, where no marks tell, in characters a second.
const CHARS_PER_S = 15;
// A cue ends with a sentence, or at the first word after so many characters: two lines of a subtitle.
const CUE_CHARS = 84;

interface Cue {
  speaker: string;
  startMs: number;
  endMs: number;
  text: string;
}

/** The turns in `format`. The anchor's part is what was heard of it. */
export function transcript(turns: readonly Turn[], format: TranscriptFormat, anchorName = "Anchor"): string {
  switch (format) {
    case "txt":
      return asText(turns, anchorName);
    case "vtt":
      return asVtt(turns, anchorName);
    case "json":
      return asJson(turns, anchorName);
  }
}

/** Milliseconds as WebVTT writes them: `00:01:02.345`. */
export function timestamp(ms: number): string {
  const whole = Math.max(0, Math.round(ms));
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  const clock = [whole / 3_600_000, (whole / 60_000) % 60, (whole / 1000) % 60].map(two).join(":");
  return `${clock}.${String(whole % 1000).padStart(3, "0")}`;
}

function asText(turns: readonly Turn[], anchorName: string): string {
  const lines = turns.flatMap((turn) => [
    ...(turn.userText ? [`You: ${turn.userText}`] : []),
    ...(heardOf(turn) ? [`${anchorName}: ${heardOf(turn)}${turn.interrupted ? " …" : ""}`] : []),
    "",
  ]);
  return lines.join("\n");
}

function asVtt(turns: readonly Turn[], anchorName: string): string {
  const cues = turns
    .flatMap((turn) => [...userCues(turn), ...replyCues(turn, anchorName)])
    .sort((a, b) => a.startMs - b.startMs)
    .map(
      ({ speaker, startMs, endMs, text }) =>
        `${timestamp(startMs)} --> ${timestamp(endMs)}\n<v ${escaped(speaker)}>${escaped(text)}\n`,
    );
  return ["WEBVTT\n", ...cues].join("\n");
}

function asJson(turns: readonly Turn[], anchorName: string): string {
  const told = turns.map((turn) => ({
    turn: turn.id,
    user: turn.userText,
    user_from_ms: turn.userFromMs,
    user_to_ms: turn.userToMs,
    reply: turn.replyText,
    reply_heard: heardOf(turn),
    reply_from_ms: turn.replyFromMs,
    interrupted: turn.interrupted,
    engine: turn.engine,
    ...(turn.failure ? { failure: turn.failure } : {}),
    marks: turn.marks.map(({ start, end, offsetMs }) => ({ text_start: start, text_end: end, offset_ms: offsetMs })),
  }));
  return `${JSON.stringify({ anchor: anchorName, turns: told }, null, 2)}\n`;
}

function heardOf(turn: Turn): string {
  return (turn.interrupted ? (turn.heardText ?? "") : turn.replyText).trim();
}

function userCues(turn: Turn): Cue[] {
  if (!turn.userText || turn.userFromMs === null) return [];
  const endMs = turn.userToMs ?? turn.userFromMs + spokenMs(turn.userText);
  return [
    { speaker: "You", startMs: turn.userFromMs, endMs: Math.max(endMs, turn.userFromMs + 500), text: turn.userText },
  ];
}

function replyCues(turn: Turn, speaker: string): Cue[] {
  const text = heardOf(turn);
  const fromMs = turn.replyFromMs;
  if (!text || fromMs === null) return [];
  const pieces = phrases(turn);
  if (pieces.length === 0) return [{ speaker, startMs: fromMs, endMs: fromMs + spokenMs(text), text }];
  const endMs = turn.playedMs;
  return pieces.map((piece, index) => {
    const startMs = fromMs + piece.offsetMs;
    const limitMs = startMs + LONGEST_CUE_MS;
    const next = pieces[index + 1];
    const last = endMs !== null && endMs > piece.offsetMs ? fromMs + endMs : startMs + spokenMs(piece.text);
    return { speaker, startMs, endMs: Math.min(limitMs, next ? fromMs + next.offsetMs : last), text: piece.text };
  });
}

// Marked words, joined up to the end of a sentence or the length of a subtitle.
function phrases(turn: Turn): { offsetMs: number; text: string }[] {
  const points = Array.from(turn.replyText);
  const heard = turn.interrupted ? Array.from(turn.heardText ?? "").length : points.length;
  const joined: { offsetMs: number; text: string }[] = [];
  let open = false;
  for (const mark of turn.marks.filter(({ start }) => start < heard)) {
    const word = points.slice(mark.start, Math.min(mark.end, heard)).join("").trim();
    const last = joined.at(-1);
    if (open && last && last.text.length + word.length < CUE_CHARS) last.text = `${last.text} ${word}`.trim();
    else joined.push({ offsetMs: mark.offsetMs, text: word });
    open = !/[.!?…。！？]["»”]?$/u.test(word);
  }
  return joined.filter(({ text }) => text !== "");
}

function spokenMs(text: string): number {
  return Math.min(LONGEST_CUE_MS, Math.max(1000, (text.length * 1000) / CHARS_PER_S));
}

function escaped(text: string): string {
  return text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/\s*\n+\s*/g, " ");
}
