import { useRef } from "preact/hooks";
import { talkRefusal } from "../abilities";
import type { Conversation } from "../conversation_state";
import { type Phase, PHASE_LABELS, phaseHint, type TalkMode } from "../phase";
import type { ConsoleStore } from "../store";
import { PauseIcon, PlayIcon, SendIcon, StopIcon } from "./icons";
import { LevelMeter } from "./LevelMeter";
import { TalkButton } from "./TalkButton";
import { TalkChoices } from "./TalkChoices";

interface DockProps {
  store: ConsoleStore;
  conversation: Conversation;
  mode: TalkMode;
  phase: Phase;
}

/** The controls of the conversation: talk, pause, stop, write. */
export function Dock({ store, conversation, mode, phase }: DockProps) {
  const canTalk = store.soundSupport === "ready" && talkRefusal(conversation) === "";
  return (
    <div class="dock">
      <div class="dock-talk">
        <div class="dock-side dock-mode">
          <TalkModeSwitch store={store} mode={mode} />
          <LevelMeter
            feed={store.microphoneLevel}
            on={conversation.microphone === "on"}
            showHints={conversation.anchor !== "speaking"}
            userSpeaking={conversation.user === "speaking" || (mode === "push" && conversation.microphone === "on")}
          />
        </div>
        <TalkButton store={store} conversation={conversation} mode={mode} />
        <div class="dock-side dock-reply">
          <ReplyButtons store={store} conversation={conversation} />
        </div>
      </div>
      <p class="activity">
        <b>{PHASE_LABELS[phase]}.</b> {phaseHint(conversation, mode, canTalk)}
      </p>
      <TalkChoices store={store} conversation={conversation} />
      <TextInput store={store} open={conversation.connection.state === "open"} />
    </div>
  );
}

function TalkModeSwitch({ store, mode }: { store: ConsoleStore; mode: TalkMode }) {
  if (store.soundSupport !== "ready") return null;
  const choice = (value: TalkMode, name: string) => (
    <label class={mode === value ? "choice chosen" : "choice"}>
      <input
        class="visually-hidden"
        type="radio"
        name="mode"
        checked={mode === value}
        onChange={() => void store.updatePreferences({ mode: value })}
      />
      {name}
    </label>
  );
  return (
    <fieldset class="choices" aria-label="How to talk">
      {choice("open", "Open mic")}
      {choice("push", "Push to talk")}
    </fieldset>
  );
}

function ReplyButtons({ store, conversation: { anchor } }: { store: ConsoleStore; conversation: Conversation }) {
  if (anchor === "idle") return null;
  const paused = anchor === "paused";
  return (
    <>
      {anchor !== "thinking" && (
        <button
          class="button"
          type="button"
          onClick={() => store.send(paused ? { case: "resume", value: {} } : { case: "pause", value: {} })}
        >
          {paused ? <PlayIcon /> : <PauseIcon />}
          <span class="button-word">{paused ? "Resume" : "Pause"}</span>
        </button>
      )}
      <button class="button" type="button" onClick={() => store.send({ case: "interrupt", value: {} })}>
        <StopIcon />
        <span class="button-word">Stop</span>
      </button>
    </>
  );
}

function TextInput({ store, open }: { store: ConsoleStore; open: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <form
      class="writing"
      autocomplete="off"
      onSubmit={(submit) => {
        submit.preventDefault();
        const text = input.current?.value.trim();
        if (input.current && text && store.sendText(text)) input.current.value = "";
      }}
    >
      <input
        id="writing"
        ref={input}
        type="text"
        maxLength={2000}
        placeholder="Or write…"
        aria-label="Write to the anchor"
      />
      <button class="send" type="submit" aria-label="Send" aria-disabled={!open}>
        <SendIcon />
      </button>
    </form>
  );
}
