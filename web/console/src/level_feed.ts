/** The microphone's level on its way to the meters: too often told to be part of what the page shows. */
import { HINT_PEAKS } from "./level";

export class LevelFeed {
  /** The newest peaks, oldest first. */
  readonly peaks: number[] = [];
  readonly #watchers = new Set<(peak: number) => void>();

  push(peak: number): void {
    this.peaks.push(peak);
    if (this.peaks.length > HINT_PEAKS) this.peaks.shift();
    for (const watcher of this.#watchers) watcher(peak);
  }

  /** Nothing is heard any more. */
  clear(): void {
    this.peaks.length = 0;
    for (const watcher of this.#watchers) watcher(0);
  }

  /** Calls `watcher` with every peak until the returned function is called. */
  watch(watcher: (peak: number) => void): () => void {
    this.#watchers.add(watcher);
    return () => {
      this.#watchers.delete(watcher);
    };
  }
}
