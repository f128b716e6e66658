import type { MicrophoneState } from "@ai-anchor/client";
import { useEffect, useRef } from "preact/hooks";
import type { Conversation } from "../conversation_state";
import { meterFraction } from "../level";
import type { TalkMode } from "../phase";
import type { ConsoleStore } from "../store";
import { MicrophoneIcon } from "./icons";

const TOGGLE_LABELS: Readonly<Record<MicrophoneState, string>> = {
  off: "Talk",
  starting: "Cancel",
  muted: "Close the microphone",
  on: "Close the microphone",
};

interface TalkButtonProps {
  store: ConsoleStore;
  conversation: Conversation;
  mode: TalkMode;
}

export function TalkButton({ store, conversation, mode }: TalkButtonProps) {
  const ring = useRef<HTMLSpanElement>(null);
  const { microphone, anchor, connection } = conversation;
  useEffect(() => {
    // The ring shows the level of the current speaker. It changes fifty times a second, so it bypasses rendering.
    const feed = anchor === "speaking" ? store.replyLevel : store.microphoneLevel;
    return feed.subscribe((peak) => {
      ring.current?.style.setProperty("--level", meterFraction(peak).toFixed(3));
    });
  }, [store, anchor]);
  const isOn = microphone === "on";
  // What is open can always be closed.
  const isUsable = microphone !== "off" || (store.soundSupport === "ready" && connection.state !== "closed");
  const release = () => {
    store.releaseTalk();
  };
  const pushHandlers = {
    onPointerDown: (event: PointerEvent) => {
      if (event.button !== 0) return;
      (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
      void store.pressTalk();
    },
    onPointerUp: release,
    onPointerCancel: release,
    onLostPointerCapture: release,
    // Otherwise a long press on a phone opens a menu.
    onContextMenu: (event: Event) => {
      event.preventDefault();
    },
  };
  const toggleHandlers = {
    onClick: () => void (microphone === "off" ? store.openMicrophone() : store.closeMicrophone("")),
  };
  const label = mode === "push" ? "Hold to talk" : TOGGLE_LABELS[microphone];
  return (
    <button
      class={isOn ? "talk talk-on" : "talk"}
      type="button"
      aria-label={label}
      aria-pressed={isOn}
      title={mode === "push" ? "Hold to talk (space bar)" : `${label} (space bar)`}
      disabled={!isUsable}
      data-talk
      {...(mode === "push" ? pushHandlers : toggleHandlers)}
    >
      <span class="talk-ring" ref={ring} />
      <MicrophoneIcon />
    </button>
  );
}
