/** Asks the server for the address of the page that shows the captions of a conversation. */

/** The address of the caption page, for whoever is to see the captions. Rejects when the server refuses. */
export async function captionPageUrl(page: URL | Location, ticket: string, token: string): Promise<string> {
  const address = new URL(`conversation/${encodeURIComponent(ticket)}/watch`, page.href);
  address.search = address.hash = "";
  const headers = token ? { Authorization: `Bearer ${token}` } : undefined;
  const response = await fetch(address, { method: "POST", ...(headers ? { headers } : {}) });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const { watch_key: key } = (await response.json()) as { watch_key: string };
  const url = new URL("captions.html", page.href);
  url.search = "";
  url.hash = `key=${key}`;
  return url.href;
}
