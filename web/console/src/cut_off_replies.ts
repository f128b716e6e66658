/** Ends replies of which no more will sound: the line is lost for good, or another session goes on. */
import { markAt } from "./captions";
import type { Turn } from "./turn";

/** The turns, with unfinished replies cut off after the last word that sounded. `audioStarted`: replies are played. */
export function cutOffReplies(turns: readonly Turn[], audioStarted: boolean): readonly Turn[] {
  return turns.map((turn) => {
    const isUnfinished = turn.heardText === null && turn.replyText !== "" && turn.failure === "";
    return isUnfinished ? { ...turn, ...heardUntilNow(turn, audioStarted) } : turn;
  });
}

function heardUntilNow(turn: Turn, audioStarted: boolean): Pick<Turn, "heardText" | "interrupted"> {
  const heardText = textUntilNow(turn, audioStarted);
  return { heardText, interrupted: heardText.trim() !== turn.replyText.trim() };
}

// As the captions show it: without sound, or marks in it, all text counts as heard.
function textUntilNow({ replyText, playedMs, marks }: Turn, audioStarted: boolean): string {
  if (!audioStarted) return replyText;
  if (playedMs === null) return "";
  if (marks.length === 0) return replyText;
  const end = markAt(marks, playedMs)?.textEnd ?? 0;
  return Array.from(replyText).slice(0, end).join("");
}
