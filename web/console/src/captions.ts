/** Splits a reply into spans by playback state. */
import type { Mark, Turn } from "./turn";

/** `heard`: played; `now`: playing; `ahead`: not yet played; `cut`: interrupted before it played. */
export interface CaptionSpan {
  kind: "heard" | "now" | "ahead" | "cut";
  text: string;
}

/** The spans of a turn's reply in order, without empty ones. Until audio has started, all text counts as heard. */
export function captionSpans(turn: Turn, audioStarted: boolean): CaptionSpan[] {
  // Marks index code points, JavaScript strings index UTF-16 units.
  const points = Array.from(turn.replyText);
  const { from, to } = currentRange(turn, points.length, audioStarted);
  const span = (kind: CaptionSpan["kind"], start: number, end?: number): CaptionSpan => ({
    kind,
    text: points.slice(start, end).join(""),
  });
  const unheard = turn.interrupted ? "cut" : "ahead";
  return [span("heard", 0, from), span("now", from, to), span(unheard, to)].filter(({ text }) => text !== "");
}

/** The mark that plays at `playedMs`; undefined before the first. */
export function markAt(marks: readonly Mark[], playedMs: number): Mark | undefined {
  return marks.reduce<Mark | undefined>(
    (latest, mark) => (mark.offsetMs <= playedMs && mark.offsetMs >= (latest?.offsetMs ?? 0) ? mark : latest),
    undefined,
  );
}

function currentRange(turn: Turn, all: number, audioStarted: boolean): { from: number; to: number } {
  const emptyAt = (at: number) => ({ from: at, to: at });
  if (turn.interrupted) return emptyAt(Array.from(turn.heardText ?? "").length);
  if (turn.heardText !== null || turn.failure) return emptyAt(all);
  // A voice without marks: the whole reply counts as heard once it plays.
  if (!audioStarted || turn.marks.length === 0) return emptyAt(audioStarted && turn.playedMs === null ? 0 : all);
  const mark = turn.playedMs === null ? undefined : markAt(turn.marks, turn.playedMs);
  return mark ? { from: mark.textStart, to: mark.textEnd } : emptyAt(0);
}
