/** Decides where the list of captions scrolls to, so that the word that sounds stays in sight. Pure: no DOM. */

/** The visible part of a scrolled list, in pixels. */
export interface Viewport {
  scrollTop: number;
  height: number;
  contentHeight: number;
}

/** Where something stands in the content of the list, in pixels from its beginning. */
export interface Place {
  top: number;
  bottom: number;
}

// Shares of the list's height: where a word goes that left the sight, and how close to the bottom it may come.
const WORD_AT_SHARE = 0.3;
const LOWER_MARGIN_SHARE = 0.25;
// Browsers round positions.
const ROUNDING_PX = 2;

/** The `scrollTop` that keeps `word` in sight: the present one while it is, and the end of the list without a word. */
export function scrollTarget(viewport: Viewport, word: Place | null): number {
  const { scrollTop, height, contentHeight } = viewport;
  const end = Math.max(0, contentHeight - height);
  if (!word) return end;
  const spare = Math.max(0, (height - (word.bottom - word.top)) / 2);
  const lowerMargin = Math.min(height * LOWER_MARGIN_SHARE, spare);
  if (word.top >= scrollTop && word.bottom <= scrollTop + height - lowerMargin) return scrollTop;
  return Math.min(end, Math.max(0, word.top - Math.min(height * WORD_AT_SHARE, spare)));
}

/**
 * Whether the list follows the words after somebody scrolled it. Scrolling back stops that; scrolling on to the word
 * that sounds, or to the end without one, starts it again.
 */
export function followsAfterScroll(before: Viewport, after: Viewport, word: Place | null): boolean {
  const bottom = after.scrollTop + after.height;
  const isAtEnd = bottom >= after.contentHeight - ROUNDING_PX;
  if (!word) return isAtEnd;
  const isInSight = word.top >= after.scrollTop - ROUNDING_PX && word.bottom <= bottom + ROUNDING_PX;
  return isInSight && (isAtEnd || after.scrollTop > before.scrollTop);
}

/** Whether two positions are the same but for rounding. */
export function isSamePosition(one: number, other: number): boolean {
  return Math.abs(one - other) <= ROUNDING_PX;
}
