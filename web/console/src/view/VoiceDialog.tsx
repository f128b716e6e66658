import { useEffect, useState } from "preact/hooks";
import { microphoneErrorMessage } from "../error_messages";
import { AUTOMATIC, formatLanguage } from "../format";
import type { ConsoleStore } from "../store";
import { type Voice, type VoiceApi, VoiceApiError, type VoiceList } from "../voice_api";
import { playAudio } from "../voice_recording";
import { Dialog } from "./Dialog";
import { SelectField } from "./SelectField";
import { type Recorded, VoiceRecording } from "./VoiceRecording";

interface VoiceDialogProps {
  api: VoiceApi;
  store: ConsoleStore;
  onClose: () => void;
}

/** Lists the added voices, and adds one from a recording with its owner's consent. */
export function VoiceDialog({ api, store, onClose }: VoiceDialogProps) {
  const [list, setList] = useState<VoiceList | null>(null);
  const [notice, setNotice] = useState("");
  const [busy, setBusy] = useState("");
  // Each voice is added with an empty form.
  const [form, setForm] = useState(0);
  /** Runs one request at a time; shows what it does, and why it failed. */
  const run = async (what: string, work: () => Promise<void>): Promise<void> => {
    setBusy(what);
    setNotice("");
    try {
      await work();
    } catch (error) {
      setNotice(error instanceof VoiceApiError ? error.message : microphoneErrorMessage(error));
    }
    setBusy("");
  };
  const refresh = async () => {
    setList(await api.list());
  };
  useEffect(() => {
    void run("Reading the voices…", refresh);
  }, []);
  return (
    <Dialog title="Voices" onClose={onClose}>
      <p class="hint" role="status">
        {busy}
      </p>
      {notice && (
        <p class="finding finding-problem" role="alert">
          {notice}
        </p>
      )}
      {list && <AddedVoices list={list} api={api} store={store} busy={busy !== ""} run={run} refresh={refresh} />}
      {list?.cloning.available === true && (
        <CloneForm
          key={form}
          onAdded={() => {
            setForm(form + 1);
          }}
          languages={list.cloning.languages}
          api={api}
          store={store}
          busy={busy !== ""}
          run={run}
          refresh={refresh}
        />
      )}
      {list?.cloning.available === false && (
        <section class="settings" aria-label="Clone a voice">
          <h3>Clone a voice</h3>
          <p>No engine that runs here can learn a voice.</p>
          <p class="hint">{list.cloning.reason}</p>
        </section>
      )}
    </Dialog>
  );
}

interface PartProps {
  api: VoiceApi;
  store: ConsoleStore;
  busy: boolean;
  run: (what: string, work: () => Promise<void>) => Promise<void>;
  refresh: () => Promise<void>;
}

function AddedVoices({ list, api, store, busy, run, refresh }: PartProps & { list: VoiceList }) {
  const [sentence, setSentence] = useState("Good evening. This is how I sound.");
  const added = list.data.filter(({ cloned }) => cloned);
  if (added.length === 0) return null;
  const hear = async ({ id }: Voice) => {
    const speech = await api.speak(id, sentence);
    // The anchor must not hear it.
    await store.closeMicrophone("");
    await playAudio(speech);
  };
  return (
    <section class="settings" aria-label="Added voices">
      <h3>Added voices</h3>
      <label class="field">
        <span class="field-name">Try with</span>
        <input
          class="text-field"
          value={sentence}
          maxLength={300}
          onInput={(event) => {
            setSentence(event.currentTarget.value);
          }}
        />
      </label>
      <ul class="voices">
        {added.map((voice) => (
          <li key={voice.id} class="voice" aria-label={voice.name}>
            <span>
              {voice.name} <span class="hint">{consentText(voice)}</span>
            </span>
            <span class="actions">
              <button
                class="button"
                type="button"
                disabled={busy || !sentence.trim()}
                onClick={() => void run("Speaking…", () => hear(voice))}
              >
                Hear
              </button>
              <button
                class="button"
                type="button"
                disabled={busy}
                onClick={() => {
                  void store.updatePreferences({ voice: voice.id });
                  store.send({ case: "setVoice", value: { voice: voice.id } });
                }}
              >
                Use
              </button>
              <DeleteButton
                voice={voice}
                busy={busy}
                onDelete={() =>
                  void run("Deleting…", async () => {
                    await api.remove(voice.id);
                    await refresh();
                  })
                }
              />
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** Deletes at the second press. */
function DeleteButton({ voice, busy, onDelete }: { voice: Voice; busy: boolean; onDelete: () => void }) {
  const [asked, setAsked] = useState(false);
  return (
    <button
      class="button"
      type="button"
      disabled={busy}
      onBlur={() => {
        setAsked(false);
      }}
      onClick={() => {
        if (asked) onDelete();
        setAsked(!asked);
      }}
    >
      {asked ? `Delete ${voice.name} and the consent` : "Delete"}
    </button>
  );
}

function CloneForm({
  onAdded,
  languages,
  api,
  store,
  busy,
  run,
  refresh,
}: PartProps & { languages: readonly string[]; onAdded: () => void }) {
  const [language, setLanguage] = useState(AUTOMATIC);
  const [recorded, setRecorded] = useState<Recorded | null>(null);
  const [transcript, setTranscript] = useState("");
  const [name, setName] = useState("");
  const [owner, setOwner] = useState("");
  const [statement, setStatement] = useState("");
  const [spoken, setSpoken] = useState<Recorded | null>(null);
  const code = language === AUTOMATIC ? "" : language;
  const prompt = `I, ${owner.trim() || "…"}, consent that this voice anchor learns and speaks with my voice.`;
  const missing = missingPart(recorded, transcript, name, owner, spoken !== null || statement.trim().length >= 10);
  const take = (recording: Recorded | null) => {
    setRecorded(recording);
    setTranscript("");
    if (!recording || recording.unusable) return;
    void run("Writing down what was said…", async () => {
      setTranscript(await api.transcribe(recording.audio, code));
    });
  };
  const add = async () => {
    if (!recorded) return;
    const consent = spoken?.audio ?? statement.trim();
    await api.add({
      name: name.trim(),
      recording: recorded.audio,
      transcript: transcript.trim(),
      language: code,
      consentName: owner.trim(),
      consent,
    });
    onAdded();
    await refresh();
  };
  return (
    <section class="settings" aria-label="Clone a voice">
      <h3>Clone a voice</h3>
      <p class="hint">
        Ten seconds of one person, in a quiet room: a few sentences, as the anchor shall speak. The recording itself is
        not kept.
      </p>
      <SelectField
        name="Language"
        value={language}
        options={[AUTOMATIC, ...languages].map((each) => ({
          value: each,
          name: formatLanguage(each),
          lang: each === AUTOMATIC ? "en" : each,
        }))}
        onChoose={setLanguage}
      />
      <VoiceRecording name="Recording of the voice" store={store} busy={busy} onRecorded={take} checks />
      {recorded && !recorded.unusable && (
        <label class="field">
          <span class="field-name">Words</span>
          <textarea
            class="text-field"
            rows={3}
            maxLength={600}
            value={transcript}
            onInput={(event) => {
              setTranscript(event.currentTarget.value);
            }}
          />
          <span class="hint">Correct them: they must be what the recording says.</span>
        </label>
      )}
      <label class="field">
        <span class="field-name">Name</span>
        <input
          class="text-field"
          maxLength={60}
          value={name}
          onInput={(event) => {
            setName(event.currentTarget.value);
          }}
        />
        <span class="hint">Of the voice, as the list shows it.</span>
      </label>
      <label class="field">
        <span class="field-name">Person</span>
        <input
          class="text-field"
          maxLength={60}
          value={owner}
          onInput={(event) => {
            setOwner(event.currentTarget.value);
          }}
        />
        <span class="hint">Whose voice it is. Without their consent, no voice is learned.</span>
      </label>
      <label class="field">
        <span class="field-name">Consent</span>
        <textarea
          class="text-field"
          rows={2}
          maxLength={2000}
          disabled={spoken !== null}
          placeholder={prompt}
          value={statement}
          onInput={(event) => {
            setStatement(event.currentTarget.value);
          }}
        />
        <span class="hint">The person’s statement, in writing, such as the one shown; or let them say it:</span>
      </label>
      <VoiceRecording name="Spoken consent" store={store} busy={busy} onRecorded={setSpoken} />
      <div class="actions">
        <button
          class="button button-main"
          type="button"
          disabled={busy || missing !== ""}
          onClick={() => void run("Learning the voice…", add)}
        >
          Add the voice
        </button>
        <span class="hint">{missing}</span>
      </div>
    </section>
  );
}

function missingPart(
  recorded: Recorded | null,
  transcript: string,
  name: string,
  owner: string,
  consent: boolean,
): string {
  if (!recorded) return "Record the voice, or choose a file.";
  if (recorded.unusable) return "This recording cannot be used.";
  if (!transcript.trim()) return "The words of the recording are missing.";
  if (!name.trim()) return "The voice has no name.";
  if (!owner.trim()) return "Say whose voice it is.";
  return consent ? "" : "The consent is missing.";
}

function consentText({ languages, consent }: Voice): string {
  const spoken = languages.map(formatLanguage).join(", ");
  if (!consent) return spoken;
  const day = new Date(consent.created_at * 1000).toLocaleDateString();
  return `${spoken} · with the consent of ${consent.name}, ${day}`;
}
