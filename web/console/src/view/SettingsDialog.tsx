import type { MicrophoneTraits } from "@ai-anchor/client";
import type { AnchorDesk } from "../desk";
import { ownName } from "../languages";
import type { Preferences } from "../preferences";
import type { Conversation } from "../state";
import { Dialog } from "./Dialog";
import { Manner } from "./Manner";
import { SoundSettings } from "./SoundSettings";

interface SettingsProps {
  desk: AnchorDesk;
  conversation: Conversation;
  preferences: Preferences;
  traits: MicrophoneTraits | null;
  onClose: () => void;
}

export function SettingsDialog({ desk, conversation, preferences, traits, onClose }: SettingsProps) {
  return (
    <Dialog title="Settings" onClose={onClose}>
      <section class="settings" aria-label="The anchor">
        <h3>The anchor</h3>
        <Who desk={desk} conversation={conversation} />
        <Manner desk={desk} settings={conversation.settings} />
      </section>
      <SoundSettings desk={desk} preferences={preferences} traits={traits} />
      <section class="settings" aria-label="Conversation">
        <h3>Conversation</h3>
        <p class="hint">This browser remembers the conversation, and goes on with it when the page is opened again.</p>
        <div class="actions">
          <button
            class="button"
            type="button"
            onClick={() => {
              onClose();
              void desk.beginAnew();
            }}
          >
            New conversation
          </button>
        </div>
      </section>
    </Dialog>
  );
}

function Who({ desk, conversation: { choices, settings } }: { desk: AnchorDesk; conversation: Conversation }) {
  if (!choices || !settings) return <p class="hint">What there is to choose from appears once the session is open.</p>;
  const voices = choices.voices.filter(({ languages }) => languages.includes(settings.language));
  const persona = choices.personas.find(({ id }) => id === settings.persona);
  return (
    <>
      <Choice
        name="Language"
        value={settings.language}
        options={choices.languages.map((code) => ({ value: code, name: ownName(code), lang: code }))}
        onChoose={(language) => {
          void desk.prefer({ language, voice: "" });
          // A voice of the language before would not speak this one.
          desk.send({ case: "setVoice", value: { voice: "" } });
          desk.send({ case: "setLanguage", value: { language } });
        }}
      />
      <Choice
        name="Voice"
        value={settings.voice}
        options={[
          { value: "", name: "The language’s own" },
          ...voices.map(({ id, name, engine, cloned }) => ({
            value: id,
            name: `${name || id} · ${engine}${cloned ? " · from a recording" : ""}`,
          })),
        ]}
        onChoose={(voice) => {
          void desk.prefer({ voice });
          desk.send({ case: "setVoice", value: { voice } });
        }}
      />
      <Choice
        name="Persona"
        value={settings.persona}
        hint={persona?.description}
        options={choices.personas.map(({ id, name }) => ({ value: id, name: name || id }))}
        onChoose={(chosen) => {
          void desk.prefer({ persona: chosen });
          desk.send({ case: "setPersona", value: { persona: chosen } });
        }}
      />
    </>
  );
}

interface ChoiceProps {
  name: string;
  value: string;
  options: readonly { value: string; name: string; lang?: string }[];
  hint?: string | undefined;
  onChoose: (value: string) => void;
}

export function Choice({ name, value, options, hint, onChoose }: ChoiceProps) {
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
