/** Formats values for display. */

/** Mebibytes as gibibytes with one decimal: `1536` → `1.5 GiB`. */
export function formatGibibytes(mib: number): string {
  return `${(mib / 1024).toFixed(1)} GiB`;
}

/** `1234` → `1.23 s`, `840` → `840 ms`. */
export function formatDuration(ms: number): string {
  return Math.abs(ms) < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`;
}

/** `65000` → `1:05`. */
export function formatClock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The setting for the language that is heard. */
export const AUTOMATIC = "auto";

/** The language's name in the language itself: `de` → `Deutsch`; the code where the browser has no name for it. */
export function formatLanguage(code: string): string {
  if (code === AUTOMATIC) return "Automatic";
  try {
    const name = new Intl.DisplayNames([code], { type: "language" }).of(code) ?? code;
    return name.charAt(0).toLocaleUpperCase(code) + name.slice(1);
  } catch (error) {
    if (error instanceof RangeError) return code;
    throw error;
  }
}
