import { pageToken } from "@ai-anchor/client";
import { useState } from "preact/hooks";
import { captionPageUrl } from "../watch_api";

/** Shows the address of the page that holds nothing but the captions, to lay it over a picture. */
export function CaptionPageLink({ ticket }: { ticket: string }) {
  const [url, setUrl] = useState("");
  const [failed, setFailed] = useState(false);
  const request = async (): Promise<void> => {
    try {
      setUrl(await captionPageUrl(window.location, ticket, pageToken(window.location)));
      setFailed(false);
    } catch {
      setFailed(true);
    }
  };
  return (
    <section class="card" aria-label="Caption page">
      <h2>Caption page</h2>
      <p class="hint">Only the captions, large and on a transparent ground: a browser source for OBS and the like.</p>
      {url ? (
        <>
          <input class="address" type="text" readOnly value={url} aria-label="Address of the caption page" />
          <p class="hint">Whoever has this address can read along, until the conversation is deleted.</p>
        </>
      ) : (
        <div class="actions">
          <button class="button" type="button" disabled={!ticket} onClick={() => void request()}>
            Get its address
          </button>
        </div>
      )}
      {failed && (
        <p class="failure" role="alert">
          The server gave no address. Is the conversation still open?
        </p>
      )}
    </section>
  );
}
