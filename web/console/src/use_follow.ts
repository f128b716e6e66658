/** Scrolls the list of captions along with the word that sounds, unless the reader has scrolled elsewhere. */
import type { RefObject } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { followsAfterScroll, isSamePosition, type Place, scrollTarget, type Viewport } from "./follow";
import type { Turn } from "./turn";

interface Following {
  list: RefObject<HTMLDivElement>;
  /** False while the reader reads elsewhere. */
  isFollowing: boolean;
  onScroll: () => void;
  /** Scrolls to the word that sounds, and follows it again. */
  goToNow: () => void;
}

export function useFollow(turns: readonly Turn[]): Following {
  const list = useRef<HTMLDivElement>(null);
  const [isFollowing, setFollowing] = useState(true);
  const following = useRef(true);
  const shown = useRef<Viewport>({ scrollTop: 0, height: 0, contentHeight: 0 });
  const isUserSpeaking = useRef(false);
  isUserSpeaking.current = turns.at(-1)?.provisional ?? false;

  const follow = useCallback(() => {
    const element = list.current;
    if (!element) return;
    if (following.current)
      element.scrollTop = scrollTarget(viewportOf(element), wordIn(element, isUserSpeaking.current));
    shown.current = viewportOf(element);
  }, []);
  const setFollows = useCallback((follows: boolean) => {
    following.current = follows;
    setFollowing(follows);
  }, []);

  useEffect(() => {
    // A new conversation is read from its beginning.
    if (turns.length === 0) setFollows(true);
    follow();
  }, [turns, follow, setFollows]);
  useEffect(() => {
    const element = list.current;
    if (!element) return undefined;
    const observer = new ResizeObserver(follow);
    observer.observe(element);
    return () => {
      observer.disconnect();
    };
  }, [follow]);

  const onScroll = useCallback(() => {
    const element = list.current;
    if (!element) return;
    const before = shown.current;
    const after = viewportOf(element);
    // The list's own scrolling arrives here too.
    if (isSamePosition(before.scrollTop, after.scrollTop)) return;
    shown.current = after;
    setFollows(followsAfterScroll(before, after, wordIn(element, isUserSpeaking.current)));
  }, [setFollows]);
  const goToNow = useCallback(() => {
    setFollows(true);
    follow();
  }, [follow, setFollows]);
  return { list, isFollowing, onScroll, goToNow };
}

function viewportOf({ scrollTop, clientHeight, scrollHeight }: HTMLElement): Viewport {
  return { scrollTop, height: clientHeight, contentHeight: scrollHeight };
}

// The word that sounds; else where the newest reply begins, or where it was cut off. Null for the end of the list:
// while the user speaks, and after a reply.
function wordIn(list: HTMLElement, isUserSpeaking: boolean): Place | null {
  if (isUserSpeaking) return null;
  const newest = list.querySelector(".turn:last-child");
  const word = list.querySelector(".now") ?? newest?.querySelector(".ahead, .cut");
  const box = word?.getClientRects()[0];
  if (!box) return null;
  const offset = list.scrollTop - list.getBoundingClientRect().top - list.clientTop;
  return { top: box.top + offset, bottom: box.bottom + offset };
}
