/** Saves files from the page. */

/** Saves a text as a file; a data: URL holds all that a conversation has. */
export function saveText(name: string, mediaType: string, text: string): void {
  save(name, `data:${mediaType};charset=utf-8,${encodeURIComponent(text)}`);
}

/** Saves a file of any size. */
export function saveBlob(name: string, blob: Blob): void {
  const url = URL.createObjectURL(blob);
  save(name, url);
  // The browser has begun to read it by then.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}

function save(name: string, url: string): void {
  const link = document.createElement("a");
  link.download = name;
  link.href = url;
  link.click();
}
