import { type MicrophoneSettings, pageToken } from "@ai-anchor/client";
import { useState } from "preact/hooks";
import { talkRefusal } from "../abilities";
import type { Conversation } from "../conversation_state";
import type { Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import {
  chooseLanguage,
  choosePersona,
  chooseVoice,
  languageOptions,
  personaOptions,
  voiceOptions,
} from "../talk_choices";
import { VoiceApi } from "../voice_api";
import { CaptionSettings } from "./CaptionSettings";
import { Dialog } from "./Dialog";
import { SelectField } from "./SelectField";
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
  const isConnected = conversation.connection.state === "open";
  return (
    <Dialog title="Settings" onClose={onClose}>
      <section class="settings" aria-label="The anchor">
        <h3>The anchor</h3>
        {!isConnected && <p class="hint">These can be changed once the server answers.</p>}
        <fieldset class="settings-fields" disabled={!isConnected}>
          <SpeakerSettings store={store} conversation={conversation} />
        </fieldset>
        <VoicesButton store={store} />
        <fieldset class="settings-fields" disabled={!isConnected}>
          <StyleSettings store={store} conversation={conversation} />
        </fieldset>
      </section>
      <SoundSettings store={store} preferences={preferences} microphoneSettings={microphoneSettings} />
      <CaptionSettings store={store} preferences={preferences} />
      <section class="settings" aria-label="Conversation">
        <h3>Conversation</h3>
        <p class="hint">
          This browser remembers the conversation and resumes it when you open the page again. After a new one, the
          turns of this one stay on the page until you close it.
        </p>
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
  conversation: { choices, settings, services },
}: {
  store: ConsoleStore;
  conversation: Conversation;
}) {
  if (!choices || !settings) return <p class="hint">The choices appear once the session is open.</p>;
  const persona = choices.personas.find(({ id }) => id === settings.persona);
  return (
    <>
      <SelectField
        name="Language"
        value={settings.language}
        options={languageOptions(choices, services)}
        hint={talkRefusal({ settings, services }) || undefined}
        onChoose={(language) => {
          chooseLanguage(store, language);
        }}
      />
      <SelectField
        name="Voice"
        value={settings.voice}
        options={voiceOptions(choices, settings)}
        onChoose={(voice) => {
          chooseVoice(store, voice);
        }}
      />
      <SelectField
        name="Persona"
        value={settings.persona}
        hint={persona?.description}
        options={personaOptions(choices)}
        onChoose={(chosen) => {
          choosePersona(store, chosen);
        }}
      />
    </>
  );
}
