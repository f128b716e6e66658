/** The server's REST API for voices: list, add, hear and delete them, and transcribe a recording. */

export interface Voice {
  id: string;
  name: string;
  languages: readonly string[];
  engine: string;
  cloned: boolean;
  consent: { name: string; created_at: number } | null;
}

export interface VoiceList {
  data: readonly Voice[];
  /** Whether a voice can be added, for which languages, and otherwise why not. */
  cloning: { available: boolean; languages: readonly string[]; reason: string };
}

export interface NewVoice {
  name: string;
  recording: Blob;
  transcript: string;
  /** ISO 639-1; empty to have it recognised. */
  language: string;
  /** The person who consents. */
  consentName: string;
  /** The written statement, or the recording of a spoken one. */
  consent: string | Blob;
}

// Relative to the page: a proxy may serve the anchor under any path.
const VOICES = "v1/audio/voices";

/** A refusal of the server, or its absence; the message is for the user. */
export class VoiceApiError extends Error {}

export class VoiceApi {
  readonly #token: string;

  /** `token` is the shared secret; empty where none is set. */
  constructor(token: string) {
    this.#token = token;
  }

  async list(): Promise<VoiceList> {
    return (await this.#request(VOICES)).json() as Promise<VoiceList>;
  }

  /** The words of a recording. */
  async transcribe(recording: Blob, language: string): Promise<string> {
    const form = new FormData();
    form.append("file", recording, "recording");
    if (language) form.append("language", language);
    const response = await this.#request("v1/audio/transcriptions", { method: "POST", body: form });
    return ((await response.json()) as { text: string }).text.trim();
  }

  async add({ name, recording, transcript, language, consentName, consent }: NewVoice): Promise<Voice> {
    const form = new FormData();
    form.append("name", name);
    form.append("audio_sample", recording, "recording");
    form.append("consent_name", consentName);
    form.append("transcript", transcript);
    form.append("language", language);
    if (typeof consent === "string") form.append("consent", consent);
    else form.append("consent", consent, "consent");
    return (await this.#request(VOICES, { method: "POST", body: form })).json() as Promise<Voice>;
  }

  /** A WAV file with the text in that voice; `language` is ISO 639-1, and empty for the voice's own. */
  async speak(voice: string, text: string, language = ""): Promise<ArrayBuffer> {
    const response = await this.#request("v1/audio/speech", {
      method: "POST",
      body: JSON.stringify({ input: text, voice, ...(language ? { language } : {}) }),
      headers: { "Content-Type": "application/json" },
    });
    return response.arrayBuffer();
  }

  async remove(voice: string): Promise<void> {
    await this.#request(`${VOICES}/${encodeURIComponent(voice)}`, { method: "DELETE" });
  }

  async #request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    let response: Response;
    try {
      response = await fetch(path, { ...init, headers });
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new VoiceApiError("The server cannot be reached at the moment.");
    }
    if (response.ok) return response;
    throw new VoiceApiError(await refusalMessage(response));
  }
}

async function refusalMessage(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error: { message: string } };
    return error.message;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError)) throw error;
    return `The server refused (${response.status}).`;
  }
}
