/** Whether a page may use sound at all, and if not, what a person can do about it. */

/** What stands in the way: the page's address, the browser, or nothing. */
export type SoundSupport = "ready" | "insecure" | "unsupported";

/**
 * Browsers give neither a microphone nor worklets to plain HTTP pages, except those of the machine itself: `insecure`
 * is mended by HTTPS, `unsupported` by another browser.
 */
export function soundSupport(): SoundSupport {
  if (!window.isSecureContext) return "insecure";
  const able = "mediaDevices" in navigator && "AudioWorkletNode" in window;
  return able ? "ready" : "unsupported";
}
