/** The smallest page that talks with the anchor: a button, the state of the line, captions. */
import { Anchor, socketUrl } from "@ai-anchor/client";

const talk = document.getElementById("talk") as HTMLButtonElement;
const state = document.getElementById("state") as HTMLElement;
const captions = document.getElementById("captions") as HTMLElement;

// A turn has one line for either speaker; what is told of a turn again replaces what was told before.
function line(speaker: string, turnId: number): HTMLElement {
  const id = `${speaker}-${turnId}`;
  const known = document.getElementById(id);
  if (known) return known;
  const made = Object.assign(document.createElement("li"), { id });
  captions.append(made);
  return made;
}

const anchor = new Anchor({
  url: socketUrl(location),
  onConnection: (connection) => {
    state.textContent = connection.state;
  },
  onMessage: (message) => {
    if (message.case === "turnCommitted") line("you", message.value.turnId).textContent = message.value.text;
    if (message.case === "replyStarted") line("anchor", message.value.turnId).textContent = "";
    if (message.case === "replyText") line("anchor", message.value.turnId).append(message.value.text);
    if (message.case === "error" || message.case === "serviceNotice") state.textContent = message.value.message;
  },
});
anchor.connect();

talk.onclick = async () => {
  try {
    await (anchor.microphone ? anchor.mute() : anchor.listen());
  } catch (error) {
    state.textContent = error instanceof Error ? error.message : String(error);
  }
  talk.textContent = anchor.microphone ? "Mute" : "Talk";
};
