// @vitest-environment happy-dom
import { beforeEach, expect, test, vi } from "vitest";
import type { ConsoleStore } from "../../src/store";
import { type NewVoice, type Voice, type VoiceApi, VoiceApiError, type VoiceList } from "../../src/voice_api";
import { VoiceDialog } from "../../src/view/VoiceDialog";
import { rendered } from "./rendered";

const sound = vi.hoisted(() => ({ seconds: 10, played: [] as ArrayBuffer[] }));

vi.mock("../../src/voice_recording", () => ({
  decodeSamples: () => {
    const samples = Float32Array.from({ length: sound.seconds * 16_000 }, (_, at) =>
      Math.floor(at / 4000) % 3 ? Math.sin(at / 10) * 0.3 : 0,
    );
    return Promise.resolve({ samples, rateHz: 16_000 });
  },
  playAudio: (file: ArrayBuffer) => {
    sound.played.push(file);
    return Promise.resolve();
  },
}));

const ANA: Voice = {
  id: "higgs:ana",
  name: "Ana",
  languages: ["en"],
  engine: "higgs",
  cloned: true,
  consent: { name: "Ana Silva", created_at: 1_790_000_000 },
};

class FakeApi {
  voices: Voice[] = [];
  cloning = { available: true, languages: ["en"], reason: "" };
  added: NewVoice[] = [];
  spoken: string[] = [];
  refusal = "";

  list(): Promise<VoiceList> {
    return Promise.resolve({ data: [...this.voices], cloning: this.cloning });
  }
  transcribe(): Promise<string> {
    return Promise.resolve("good evening all");
  }
  add(voice: NewVoice): Promise<Voice> {
    if (this.refusal) return Promise.reject(new VoiceApiError(this.refusal));
    this.added.push(voice);
    this.voices.push(ANA);
    return Promise.resolve(ANA);
  }
  speak(voice: string, text: string): Promise<ArrayBuffer> {
    this.spoken.push(`${voice}: ${text}`);
    return Promise.resolve(new ArrayBuffer(8));
  }
  remove(id: string): Promise<void> {
    this.voices = this.voices.filter((voice) => voice.id !== id);
    return Promise.resolve();
  }
}

let api: FakeApi;
let sent: unknown[];
let page: HTMLElement;

async function open(): Promise<void> {
  sent = [];
  const store = {
    state: { conversation: { microphone: "off" }, preferences: { microphone: "" } },
    closeMicrophone: () => Promise.resolve(),
    updatePreferences: () => Promise.resolve(),
    send: (message: unknown) => sent.push(message),
  };
  page = rendered(
    <VoiceDialog api={api as unknown as VoiceApi} store={store as unknown as ConsoleStore} onClose={() => {}} />,
  );
  await settled();
}

async function settled(): Promise<void> {
  for (let round = 0; round < 5; round++) await new Promise((done) => setTimeout(done, 5));
}

function button(name: string): HTMLButtonElement {
  const found = [...page.querySelectorAll("button")].find(({ textContent }) => textContent.trim() === name);
  if (!found) throw new Error(`no button ${name}`);
  return found;
}

async function press(name: string): Promise<void> {
  button(name).click();
  await settled();
}

async function type(label: string, text: string): Promise<void> {
  const field = [...page.querySelectorAll("label")].find((each) => each.textContent.startsWith(label));
  const input = field?.querySelector<HTMLInputElement | HTMLTextAreaElement>("input, textarea");
  if (!input) throw new Error(`no field ${label}`);
  input.value = text;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  await settled();
}

async function chooseFile(label: string): Promise<void> {
  const input = page.querySelector<HTMLInputElement>(`input[aria-label="${label}: file"]`);
  if (!input) throw new Error(`no file field ${label}`);
  Object.defineProperty(input, "files", { value: [new File(["sound"], "ana.wav")], configurable: true });
  input.dispatchEvent(new Event("change", { bubbles: true }));
  await settled();
}

beforeEach(() => {
  api = new FakeApi();
  sound.seconds = 10;
  sound.played = [];
});

test("where no engine learns voices, the dialog says so and what would", async () => {
  api.cloning = { available: false, languages: [], reason: "pocket-tts on a CPU can" };
  await open();
  expect(page.textContent).toContain("No engine that runs here can learn a voice.");
  expect(page.textContent).toContain("pocket-tts on a CPU can");
  expect(page.querySelector("input[type=file]")).toBeNull();
});

test("a voice is added with corrected words and a consent, then heard, used and deleted", async () => {
  await open();
  expect(button("Add the voice").disabled).toBe(true);
  await chooseFile("Recording of the voice");
  expect(page.textContent).toContain("A good length (10.0 s).");
  expect(page.querySelector("textarea")?.value).toBe("good evening all");
  await type("Words", "Good evening, all.");
  await type("Name", "Ana");
  await type("Person", "Ana Silva");
  expect(page.textContent).toContain("The consent is missing.");
  await type("Consent", "I consent that you use my voice.");
  await press("Add the voice");
  expect(api.added).toMatchObject([
    {
      name: "Ana",
      transcript: "Good evening, all.",
      language: "",
      consentName: "Ana Silva",
      consent: "I consent that you use my voice.",
    },
  ]);
  expect(page.textContent).toContain("with the consent of Ana Silva");
  // The form is empty for the next voice.
  expect(page.textContent).toContain("Record the voice, or choose a file.");
  await type("Try with", "How do I sound?");
  await press("Hear");
  expect(api.spoken).toEqual(["higgs:ana: How do I sound?"]);
  expect(sound.played).toHaveLength(1);
  await press("Use");
  expect(sent).toEqual([{ case: "setVoice", value: { voice: "higgs:ana" } }]);
  await press("Delete");
  expect(api.voices).toHaveLength(1);
  await press("Delete Ana and the consent");
  expect(api.voices).toHaveLength(0);
  expect(page.textContent).not.toContain("Added voices");
});

test("a spoken consent takes the place of the written one", async () => {
  await open();
  await chooseFile("Recording of the voice");
  await type("Name", "Ana");
  await type("Person", "Ana Silva");
  await chooseFile("Spoken consent");
  await press("Add the voice");
  expect(api.added[0]?.consent).toBeInstanceOf(Blob);
});

test("an unusable recording is not sent", async () => {
  sound.seconds = 1;
  await open();
  await chooseFile("Recording of the voice");
  expect(page.textContent).toContain("Too short (1.0 s)");
  expect(page.textContent).toContain("This recording cannot be used.");
  expect(button("Add the voice").disabled).toBe(true);
});

test("a refusal is shown, and the form keeps its content", async () => {
  api.refusal = "there are 256 cloned voices; delete one first";
  await open();
  await chooseFile("Recording of the voice");
  await type("Name", "Ana");
  await type("Person", "Ana Silva");
  await type("Consent", "I consent that you use my voice.");
  await press("Add the voice");
  expect(page.querySelector("[role=alert]")?.textContent).toContain("256 cloned voices");
  expect(button("Add the voice").disabled).toBe(false);
});
