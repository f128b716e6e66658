import { useEffect, useRef } from "preact/hooks";
import type { Conversation } from "../conversation_state";
import { meterFraction } from "../level";
import type { TalkMode } from "../phase";
import type { ConsoleStore } from "../store";
import { MicrophoneIcon } from "./icons";

interface TalkButtonProps {
  store: ConsoleStore;
  conversation: Conversation;
  mode: TalkMode;
}

export function TalkButton({ store, conversation, mode }: TalkButtonProps) {
  const ring = useRef<HTMLSpanElement>(null);
  const { microphone, talkHeld, anchor, connection } = conversation;
  useEffect(() => {
    // The ring shows the level of the current speaker. It changes fifty times a second, so it bypasses rendering.
    const feed = anchor === "speaking" ? store.replyLevel : store.microphoneLevel;
    return feed.subscribe((peak) => {
      ring.current?.style.setProperty("--level", meterFraction(peak).toFixed(3));
    });
  }, [store, anchor]);
  const isOn = microphone === "on";
  const isUsable = store.soundSupport === "ready" && connection.state !== "closed";
  const pushHandlers = {
    onPointerDown: (event: PointerEvent) => {
      if (event.button !== 0) return;
      (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
      void store.pressTalk();
    },
    onPointerUp: () => void store.releaseTalk(),
    onPointerCancel: () => void store.releaseTalk(),
    // Otherwise a long press on a phone opens a menu.
    onContextMenu: (event: Event) => {
      event.preventDefault();
    },
  };
  const toggleHandlers = { onClick: () => void (isOn ? store.closeMicrophone("") : store.openMicrophone()) };
  const label = mode === "push" ? "Hold to talk" : isOn ? "Close the microphone" : "Talk";
  return (
    <button
      class={(mode === "push" ? talkHeld : isOn) ? "talk talk-on" : "talk"}
      type="button"
      aria-label={label}
      aria-pressed={mode === "push" ? talkHeld : isOn}
      title={mode === "push" ? "Hold to talk (space bar)" : `${label} (space bar)`}
      disabled={!isUsable || microphone === "starting"}
      data-talk
      {...(mode === "push" ? pushHandlers : toggleHandlers)}
    >
      <span class="talk-ring" ref={ring} />
      <MicrophoneIcon />
    </button>
  );
}
