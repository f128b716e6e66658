/** The anchor's words, parted by what has become of them. */
import type { Mark, Turn } from "./turn";

/** `heard`, sounding `now`, still `ahead`, or `cut` off before it was heard. */
export interface Span {
  kind: "heard" | "now" | "ahead" | "cut";
  text: string;
}

/** The reply of `turn` in order, without empty spans. With `sound`, words count as heard only when they were. */
export function captions(turn: Turn, sound: boolean): Span[] {
  // Marks count in code points, strings do not.
  const points = Array.from(turn.replyText);
  const { from, to } = sounding(turn, points.length, sound);
  const span = (kind: Span["kind"], start: number, end?: number): Span => ({
    kind,
    text: points.slice(start, end).join(""),
  });
  const rest = turn.interrupted ? "cut" : "ahead";
  return [span("heard", 0, from), span("now", from, to), span(rest, to)].filter(({ text }) => text !== "");
}

/** The mark that sounds at `playedMs`; undefined before the first. */
export function markAt(marks: readonly Mark[], playedMs: number): Mark | undefined {
  return marks.reduce<Mark | undefined>(
    (latest, mark) => (mark.offsetMs <= playedMs && mark.offsetMs >= (latest?.offsetMs ?? 0) ? mark : latest),
    undefined,
  );
}

function sounding(turn: Turn, all: number, sound: boolean): { from: number; to: number } {
  const still = (at: number) => ({ from: at, to: at });
  if (turn.interrupted) return still(Array.from(turn.heardText ?? "").length);
  if (turn.heardText !== null || turn.failure) return still(all);
  // A voice that does not say where its words sound: all of it counts as said.
  if (!sound || turn.marks.length === 0) return still(sound && turn.playedMs === null ? 0 : all);
  const mark = turn.playedMs === null ? undefined : markAt(turn.marks, turn.playedMs);
  return mark ? { from: mark.start, to: mark.end } : still(0);
}
