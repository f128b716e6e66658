/** Checks whether a page can use a microphone and audio worklets, and if not, why. */

/** The obstacle: none, the page's insecure origin, or the browser. */
export type SoundSupport = "ready" | "insecure" | "unsupported";

/**
 * Browsers offer microphones and worklets only in secure contexts: HTTPS and localhost. The remedy for `insecure` is
 * HTTPS, for `unsupported` another browser.
 */
export function soundSupport(): SoundSupport {
  if (!window.isSecureContext) return "insecure";
  const isSupported = "mediaDevices" in navigator && "AudioWorkletNode" in window;
  return isSupported ? "ready" : "unsupported";
}
