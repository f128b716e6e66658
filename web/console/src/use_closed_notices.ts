/** Remembers which notices the user has closed, until their cause is over. */
import { useState } from "preact/hooks";

/** A notice that follows from the state; its text and kind identify it. */
export interface StandingNotice {
  id: string;
  text: string;
}

/** The notices that are still open, and how to close one. One whose cause has ended and returned is open again. */
export function useClosedNotices<Notice extends StandingNotice>(
  notices: readonly Notice[],
): { open: readonly Notice[]; close: (id: string) => void } {
  const [closed, setClosed] = useState<readonly string[]>([]);
  const present = closed.filter((id) => notices.some((notice) => notice.id === id));
  if (present.length !== closed.length) setClosed(present);
  return {
    open: notices.filter(({ id }) => !present.includes(id)),
    close: (id) => {
      setClosed([...present, id]);
    },
  };
}
