import { useEffect, useRef } from "preact/hooks";
import type { AnchorDesk } from "../desk";
import { meterShare } from "../level";
import type { TalkMode } from "../phase";
import type { Conversation } from "../state";
import { MicrophoneIcon } from "./icons";

interface TalkButtonProps {
  desk: AnchorDesk;
  conversation: Conversation;
  mode: TalkMode;
}

export function TalkButton({ desk, conversation, mode }: TalkButtonProps) {
  const ring = useRef<HTMLSpanElement>(null);
  const { microphone, held, anchor, connection } = conversation;
  useEffect(() => {
    // The ring follows whoever speaks. Set past the drawing: it changes fifty times a second.
    const feed = anchor === "speaking" ? desk.voice : desk.level;
    return feed.watch((peak) => {
      ring.current?.style.setProperty("--level", meterShare(peak).toFixed(3));
    });
  }, [desk, anchor]);
  const on = microphone === "on";
  const usable = desk.support === "ready" && connection.state !== "closed";
  const push = {
    onPointerDown: (event: PointerEvent) => {
      if (event.button !== 0) return;
      (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
      void desk.press();
    },
    onPointerUp: () => void desk.release(),
    onPointerCancel: () => void desk.release(),
    // A long press on a phone would open a menu.
    onContextMenu: (event: Event) => {
      event.preventDefault();
    },
  };
  const toggle = { onClick: () => void (on ? desk.mute("") : desk.listen()) };
  const label = mode === "push" ? "Hold to talk" : on ? "Close the microphone" : "Talk";
  return (
    <button
      class={(mode === "push" ? held : on) ? "talk talk-on" : "talk"}
      type="button"
      aria-label={label}
      aria-pressed={mode === "push" ? held : on}
      title={mode === "push" ? "Hold to talk (space bar)" : `${label} (space bar)`}
      disabled={!usable || microphone === "starting"}
      data-talk
      {...(mode === "push" ? push : toggle)}
    >
      <span class="talk-ring" ref={ring} />
      <MicrophoneIcon />
    </button>
  );
}
