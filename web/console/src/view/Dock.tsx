import { useRef } from "preact/hooks";
import type { AnchorDesk } from "../desk";
import { activity, type Phase, PHASE_WORDS, type TalkMode } from "../phase";
import type { Conversation } from "../state";
import { PauseIcon, PlayIcon, SendIcon, StopIcon } from "./icons";
import { Meter } from "./Meter";
import { TalkButton } from "./TalkButton";

interface DockProps {
  desk: AnchorDesk;
  conversation: Conversation;
  mode: TalkMode;
  phase: Phase;
}

/** Where the user acts: talk, hold, stop, write. */
export function Dock({ desk, conversation, mode, phase }: DockProps) {
  return (
    <div class="dock">
      <div class="dock-talk">
        <div class="dock-side dock-mode">
          <ModeChoice desk={desk} mode={mode} />
          <Meter
            feed={desk.level}
            on={conversation.microphone === "on"}
            judged={conversation.anchor !== "speaking" && (mode === "open" || conversation.held)}
            speech={conversation.user === "speaking" || conversation.held}
          />
        </div>
        <TalkButton desk={desk} conversation={conversation} mode={mode} />
        <div class="dock-side dock-reply">
          <ReplyButtons desk={desk} conversation={conversation} />
        </div>
      </div>
      <p class="activity">
        <b>{PHASE_WORDS[phase]}.</b> {activity(conversation, mode, desk.support === "ready")}
      </p>
      <Writing desk={desk} open={conversation.connection.state === "open"} />
    </div>
  );
}

function ModeChoice({ desk, mode }: { desk: AnchorDesk; mode: TalkMode }) {
  if (desk.support !== "ready") return null;
  const choice = (value: TalkMode, name: string) => (
    <label class={mode === value ? "choice chosen" : "choice"}>
      <input
        class="visually-hidden"
        type="radio"
        name="mode"
        checked={mode === value}
        onChange={() => void desk.prefer({ mode: value })}
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

function ReplyButtons({ desk, conversation: { anchor } }: { desk: AnchorDesk; conversation: Conversation }) {
  if (anchor === "idle") return null;
  const paused = anchor === "paused";
  return (
    <>
      {anchor !== "thinking" && (
        <button
          class="button"
          type="button"
          onClick={() => desk.send(paused ? { case: "resume", value: {} } : { case: "pause", value: {} })}
        >
          {paused ? <PlayIcon /> : <PauseIcon />}
          <span class="button-word">{paused ? "Resume" : "Pause"}</span>
        </button>
      )}
      <button class="button" type="button" onClick={() => desk.send({ case: "interrupt", value: {} })}>
        <StopIcon />
        <span class="button-word">Stop</span>
      </button>
    </>
  );
}

function Writing({ desk, open }: { desk: AnchorDesk; open: boolean }) {
  const input = useRef<HTMLInputElement>(null);
  return (
    <form
      class="writing"
      autocomplete="off"
      onSubmit={(submit) => {
        submit.preventDefault();
        const text = input.current?.value.trim();
        if (input.current && text && desk.write(text)) input.current.value = "";
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
      <button class="send" type="submit" aria-label="Send" disabled={!open}>
        <SendIcon />
      </button>
    </form>
  );
}
