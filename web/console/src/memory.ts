/** Memory for people. */

/** Mebibytes as gibibytes with one decimal: `1536` → `1.5 GiB`. */
export function gibibytes(mib: number): string {
  return `${(mib / 1024).toFixed(1)} GiB`;
}
