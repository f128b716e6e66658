import { type MicrophoneSettings, pageToken } from "@ai-anchor/client";
import { useState } from "preact/hooks";
import type { Conversation } from "../conversation_state";
import { AUTOMATIC, formatLanguage } from "../format";
import type { Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import { VoiceApi } from "../voice_api";
import { CaptionSettings } from "./CaptionSettings";
import { Dialog } from "./Dialog";
import { SoundSettings } from "./SoundSettings";
import { StyleSettings } from "./StyleSettings";
import { VoiceDialog } from "./VoiceDialog";

interface SettingsProps {
  store: ConsoleStore;
  conversation: Conversation;
  preferences: Preferences;
  microphoneSettings: MicrophoneSettings | null;
  onClose: () => void;
}

export function SettingsDialog({ store, conversation, preferences, microphoneSettings, onClose }: SettingsProps) {
  return (
    <Dialog title="Settings" onClose={onClose}>
      <section class="settings" aria-label="The anchor">
        <h3>The anchor</h3>
        <SpeakerSettings store={store} conversation={conversation} />
        <VoicesButton store={store} />
        <StyleSettings store={store} settings={conversation.settings} />
      </section>
      <SoundSettings store={store} preferences={preferences} microphoneSettings={microphoneSettings} />
      <CaptionSettings store={store} preferences={preferences} />
      <section class="settings" aria-label="Conversation">
        <h3>Conversation</h3>
        <p class="hint">This browser remembers the conversation and resumes it when you open the page again.</p>
        <div class="actions">
          <button
            class="button"
            type="button"
            onClick={() => {
              onClose();
              void store.startNewConversation();
            }}
          >
            New conversation
          </button>
        </div>
      </section>
    </Dialog>
  );
}

function VoicesButton({ store }: { store: ConsoleStore }) {
  const [open, setOpen] = useState(false);
  const [api] = useState(() => new VoiceApi(pageToken(window.location)));
  return (
    <div class="actions">
      <button
        class="button"
        type="button"
        onClick={() => {
          setOpen(true);
        }}
      >
        Clone a voice
      </button>
      {open && (
        <VoiceDialog
          api={api}
          store={store}
          onClose={() => {
            setOpen(false);
          }}
        />
      )}
    </div>
  );
}

function SpeakerSettings({
  store,
  conversation: { choices, settings },
}: {
  store: ConsoleStore;
  conversation: Conversation;
}) {
  if (!choices || !settings) return <p class="hint">The choices appear once the session is open.</p>;
  const voices = choices.voices.filter(
    ({ languages }) => settings.language === AUTOMATIC || languages.includes(settings.language),
  );
  const persona = choices.personas.find(({ id }) => id === settings.persona);
  return (
    <>
      <SelectField
        name="Language"
        value={settings.language}
        options={choices.languages.map((code) => ({
          value: code,
          name: formatLanguage(code),
          lang: code === AUTOMATIC ? "en" : code,
        }))}
        onChoose={(language) => {
          void store.updatePreferences({ language, voice: "" });
          // The voice may not speak the new language.
          store.send({ case: "setVoice", value: { voice: "" } });
          store.send({ case: "setLanguage", value: { language } });
        }}
      />
      <SelectField
        name="Voice"
        value={settings.voice}
        options={[
          { value: "", name: "Default for the language" },
          ...voices.map(({ id, name, engine, cloned }) => ({
            value: id,
            name: `${name || id} · ${engine}${cloned ? " · from a recording" : ""}`,
          })),
        ]}
        onChoose={(voice) => {
          void store.updatePreferences({ voice });
          store.send({ case: "setVoice", value: { voice } });
        }}
      />
      <SelectField
        name="Persona"
        value={settings.persona}
        hint={persona?.description}
        options={choices.personas.map(({ id, name }) => ({ value: id, name: name || id }))}
        onChoose={(chosen) => {
          void store.updatePreferences({ persona: chosen });
          store.send({ case: "setPersona", value: { persona: chosen } });
        }}
      />
    </>
  );
}

interface SelectFieldProps {
  name: string;
  value: string;
  options: readonly { value: string; name: string; lang?: string }[];
  hint?: string | undefined;
  onChoose: (value: string) => void;
}

export function SelectField({ name, value, options, hint, onChoose }: SelectFieldProps) {
  return (
    <label class="field">
      <span class="field-name">{name}</span>
      <select
        aria-label={name}
        value={value}
        onChange={(change) => {
          onChoose(change.currentTarget.value);
        }}
      >
        {options.map((option) => (
          <option key={option.value} value={option.value} lang={option.lang} selected={option.value === value}>
            {option.name}
          </option>
        ))}
      </select>
      {hint && <span class="hint">{hint}</span>}
    </label>
  );
}
