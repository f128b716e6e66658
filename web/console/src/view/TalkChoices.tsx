import { pageToken } from "@ai-anchor/client";
import { useState } from "preact/hooks";
import type { Conversation } from "../conversation_state";
import { microphoneErrorMessage } from "../error_messages";
import type { ConsoleStore } from "../store";
import {
  chooseLanguage,
  choosePersona,
  chooseVoice,
  languageOptions,
  type Option,
  personaOptions,
  speakingVoice,
  voiceOptions,
} from "../talk_choices";
import { VoiceApi, VoiceApiError } from "../voice_api";
import { playAudio } from "../voice_recording";
import { voiceSample } from "../voice_sample";
import { SpeakerIcon } from "./icons";
import { OptionSelect } from "./SelectField";

/** Persona, voice and language beside the microphone, with a sample of the voice. */
export function TalkChoices({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  const { choices, settings, services, connection } = conversation;
  if (!choices || !settings) return null;
  const isOpen = connection.state === "open";
  const chip = (name: string, value: string, options: readonly Option[], choose: Choose) => (
    <label class="chip">
      <span class="chip-name">{name}</span>
      <OptionSelect
        name={name}
        value={value}
        options={options}
        disabled={!isOpen}
        onChoose={(chosen) => {
          choose(store, chosen);
        }}
      />
    </label>
  );
  return (
    <div class="chips" role="group" aria-label="Who speaks, and in which language">
      {chip("Persona", settings.persona, personaOptions(choices), choosePersona)}
      {chip("Voice", settings.voice, namedDefault(conversation, voiceOptions(choices, settings)), chooseVoice)}
      <SampleButton store={store} conversation={conversation} />
      {chip("Language", settings.language, languageOptions(choices, services), chooseLanguage)}
    </div>
  );
}

type Choose = (store: ConsoleStore, value: string) => void;

/** Where the default voice speaks, its option bears its name. */
function namedDefault(conversation: Conversation, options: readonly Option[]): Option[] {
  const voice = conversation.settings?.voice === "" ? speakingVoice(conversation) : undefined;
  return options.map((option) =>
    option.value === "" && voice ? { value: "", name: `${voice.name || voice.id} · default` } : option,
  );
}

function SampleButton({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  const [isPlaying, setPlaying] = useState(false);
  const [problem, setProblem] = useState("");
  const [api] = useState(() => new VoiceApi(pageToken(window.location)));
  const sample = voiceSample(conversation);
  if (store.soundSupport !== "ready" || !sample) return null;
  const play = async () => {
    setPlaying(true);
    setProblem("");
    try {
      const speech = await api.speak(sample.voice, sample.text, sample.language);
      // The anchor must not hear it.
      await store.closeMicrophone("");
      await playAudio(speech);
    } catch (error) {
      setProblem(error instanceof VoiceApiError ? error.message : microphoneErrorMessage(error));
    }
    setPlaying(false);
  };
  return (
    <>
      <button
        class="tool chip-sample"
        type="button"
        title="Hear this voice"
        aria-label="Hear this voice"
        // Two voices at a time are one too many.
        disabled={isPlaying || conversation.anchor !== "idle"}
        onClick={() => void play()}
      >
        <SpeakerIcon />
      </button>
      {problem && (
        <p class="chips-problem" role="alert">
          {problem}
        </p>
      )}
    </>
  );
}
