/** A minimal page that talks with the anchor: a button, the connection state, captions. */
import { Anchor, type MicrophoneState, socketUrl } from "@ai-anchor/client";

const talk = document.getElementById("talk") as HTMLButtonElement;
const state = document.getElementById("state") as HTMLElement;
const captions = document.getElementById("captions") as HTMLElement;

// What the button does next. It is never disabled, so that the microphone can always be closed.
const TALK_LABELS: Record<MicrophoneState, string> = {
  off: "Talk",
  starting: "Cancel",
  muted: "Close the microphone (muted)",
  on: "Close the microphone",
};

// Each turn has one caption per speaker. After a reconnect the server repeats messages, which replace the earlier text.
function caption(speaker: string, turnId: number): HTMLElement {
  const id = `${speaker}-${turnId}`;
  const existing = document.getElementById(id);
  if (existing) return existing;
  const created = Object.assign(document.createElement("li"), { id });
  captions.append(created);
  return created;
}

const anchor = new Anchor({
  url: socketUrl(location),
  onConnection: (connection) => {
    state.textContent = connection.state;
  },
  onMicrophone: (microphone) => {
    talk.textContent = TALK_LABELS[microphone.state];
    if (microphone.reason) state.textContent = `The microphone is ${microphone.state}: ${microphone.reason}.`;
  },
  onMessage: (message) => {
    if (message.case === "turnCommitted") caption("you", message.value.turnId).textContent = message.value.text;
    if (message.case === "replyStarted") caption("anchor", message.value.turnId).textContent = "";
    if (message.case === "replyText") caption("anchor", message.value.turnId).append(message.value.text);
    if (message.case === "error" || message.case === "serviceNotice") state.textContent = message.value.message;
  },
});
anchor.connect();

talk.onclick = async () => {
  try {
    await (anchor.microphoneStatus.state === "off" ? anchor.openMicrophone() : anchor.closeMicrophone());
  } catch (error) {
    state.textContent = error instanceof Error ? error.message : String(error);
  }
};
