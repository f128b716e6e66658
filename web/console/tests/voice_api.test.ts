import { afterEach, expect, test, vi } from "vitest";
import { VoiceApi, VoiceApiError } from "../src/voice_api";

interface Request {
  path: string;
  init: RequestInit;
}

function answering(response: () => Response | Promise<Response>): Request[] {
  const requests: Request[] = [];
  vi.stubGlobal("fetch", (path: string, init: RequestInit = {}) => {
    requests.push({ path, init });
    return Promise.resolve().then(response);
  });
  return requests;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

const RECORDING = new Blob(["sound"], { type: "audio/webm" });
const NEW = { name: "Ana", recording: RECORDING, transcript: "hello", language: "en", consentName: "Ana Silva" };

test("a voice is sent as a form with its consent", async () => {
  const requests = answering(() => Response.json({ id: "higgs:ana" }));
  const api = new VoiceApi("secret");
  expect((await api.add({ ...NEW, consent: "I consent to that." })).id).toBe("higgs:ana");
  await api.add({ ...NEW, consent: new Blob(["consent"]) });
  const [written, spoken] = requests.map(({ init }) => init.body as FormData);
  expect(written?.get("consent")).toBe("I consent to that.");
  expect(written?.get("audio_sample")).toBeInstanceOf(Blob);
  expect([...(written?.keys() ?? [])]).toEqual([
    "name",
    "audio_sample",
    "consent_name",
    "transcript",
    "language",
    "consent",
  ]);
  expect(spoken?.get("consent")).toBeInstanceOf(Blob);
  expect(new Headers(requests[0]?.init.headers).get("authorization")).toBe("Bearer secret");
});

test("without a secret no credentials are sent", async () => {
  const requests = answering(() =>
    Response.json({ data: [], cloning: { available: false, languages: [], reason: "no" } }),
  );
  expect((await new VoiceApi("").list()).cloning.reason).toBe("no");
  expect(new Headers(requests[0]?.init.headers).has("authorization")).toBe(false);
});

test("a recording is transcribed, in a language or in any", async () => {
  const requests = answering(() => Response.json({ text: " Good evening. " }));
  expect(await new VoiceApi("").transcribe(RECORDING, "en")).toBe("Good evening.");
  await new VoiceApi("").transcribe(RECORDING, "");
  expect(requests.map(({ init }) => (init.body as FormData).get("language"))).toEqual(["en", null]);
});

test("a voice is heard and deleted by its id", async () => {
  const requests = answering(() => new Response("RIFF"));
  const api = new VoiceApi("");
  expect((await api.speak("higgs:ana", "Hello")).byteLength).toBe(4);
  expect(requests[0]?.init.body).toBe('{"input":"Hello","voice":"higgs:ana"}');
  await api.speak("higgs:ana", "Hallo", "de");
  expect(requests[1]?.init.body).toBe('{"input":"Hallo","voice":"higgs:ana","language":"de"}');
  await api.remove("higgs:ana");
  expect(requests[2]).toMatchObject({ path: "v1/audio/voices/higgs%3Aana", init: { method: "DELETE" } });
});

test("refusals carry the server's message", async () => {
  const error = { code: "tts.voices_full", message: "there are 256 cloned voices", retryable: false };
  answering(() => Response.json({ error }, { status: 400 }));
  await expect(new VoiceApi("").list()).rejects.toThrow(new VoiceApiError("there are 256 cloned voices"));
  answering(() => new Response("<html>", { status: 502 }));
  await expect(new VoiceApi("").list()).rejects.toThrow("The server refused (502).");
  answering(() => Promise.reject(new TypeError("failed")));
  await expect(new VoiceApi("").list()).rejects.toThrow("The server cannot be reached");
});
