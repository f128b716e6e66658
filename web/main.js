// Ties the parts together: events change the state, the state is drawn, gestures become commands.
import { MICROPHONE_HZ, Player, openMicrophone, soundAllowed } from "./audio.js";
import { INITIAL, reduce } from "./conversation.js";
import { Session, socketUrl } from "./session.js";
import { draw, drawLevel } from "./ui.js";

const ANCHOR_HZ = 24000;
const STATUS_EVERY_MS = 10000;
const NO_SOUND =
  "This page has no microphone and no sound: browsers give them only to pages opened over https:// or on localhost. " +
  "Open it so to talk; writing works here, with the answers in text.";

let state = INITIAL;
let session = null;
let player = null;
let microphone = null;
let awaitsDrawing = false;

function dispatch(event) {
  state = reduce(state, event);
  if (awaitsDrawing) return;
  awaitsDrawing = true;
  requestAnimationFrame(() => {
    awaitsDrawing = false;
    draw(state);
  });
}

function onEvent(event) {
  dispatch(event);
  switch (event.type) {
    case "session_started":
      session.send({ type: "request_status" });
      break;
    case "reply_audio":
      player?.place(event.turn_id, event.offset_ms);
      break;
    case "playback_pause":
      player?.pause(event.turn_id);
      break;
    case "playback_resume":
      player?.resume(event.turn_id);
      break;
    case "playback_stop":
      player?.stop(event.turn_id);
      break;
    case "reply_audio_ended":
      player?.end(event.turn_id);
      break;
    case "connection_lost":
      // A resumed session goes on where our last report said, so nothing must play beyond that.
      player?.silence();
      if (event.final) closeMicrophone();
      break;
  }
}

function onProgress({ turnId, playedMs, peak }) {
  session.send({ type: "playback_progress", turn_id: turnId, played_ms: playedMs });
  dispatch({ type: "heard", turnId, playedMs });
  drawLevel(peak);
}

// Opens player and session at the first gesture; browsers allow no sound before one.
async function connect() {
  if (soundAllowed()) {
    player ??= await Player.open({ rateHz: ANCHOR_HZ, onProgress });
    await player.wake();
    dispatch({ type: "sound" });
  }
  if (session) return;
  const choices = new URLSearchParams(window.location.search);
  session = new Session({
    url: socketUrl(window.location),
    start: {
      sample_rate_hz: MICROPHONE_HZ,
      reports_playback: player !== null,
      language: choices.get("language") ?? "",
      voice: choices.get("voice") ?? "",
      persona: choices.get("persona") ?? "",
    },
    onEvent,
    onAudio: (pcm) => player?.push(pcm),
  });
  session.open();
}

async function openEars() {
  if (!soundAllowed()) return dispatch({ type: "notice", notice: NO_SOUND });
  dispatch({ type: "microphone", state: "starting" });
  try {
    await connect();
    microphone = await openMicrophone({ onFrame, onLost: () => closeMicrophone("The microphone was unplugged.") });
    return dispatch({ type: "microphone", state: "on" });
  } catch (error) {
    return dispatch({ type: "microphone", state: "off", notice: microphoneAdvice(error) });
  }
}

function onFrame(pcm, peak) {
  session.sendAudio(pcm);
  if (state.anchor !== "speaking") drawLevel(peak);
}

function closeMicrophone(notice) {
  if (!microphone) return;
  microphone.close();
  microphone = null;
  // No frames follow that would show a silence: say that the turn is over.
  if (state.user === "speaking" || state.turns.at(-1)?.provisional) session.send({ type: "end_turn" });
  drawLevel(0);
  dispatch({ type: "microphone", state: "off", notice });
}

function microphoneAdvice(error) {
  switch (error.name) {
    case "NotAllowedError":
      return "The microphone is blocked for this page. Allow it in the address bar, then press again.";
    case "NotFoundError":
      return "No microphone was found. Plug one in, then press again; writing works meanwhile.";
    case "NotReadableError":
      return "Another program holds the microphone. Close it there, then press again.";
    default:
      return `No sound: ${error.message}`;
  }
}

document.getElementById("talk").addEventListener("click", () => {
  if (microphone) closeMicrophone();
  else if (state.microphone === "off") openEars();
});

document.getElementById("interrupt").addEventListener("click", () => session.send({ type: "interrupt" }));

document.getElementById("writing").addEventListener("submit", async (submit) => {
  submit.preventDefault();
  const input = document.getElementById("text");
  const text = input.value.trim();
  if (!text) return;
  try {
    await connect();
  } catch (error) {
    dispatch({ type: "notice", notice: `No sound: ${error.message}` });
    return;
  }
  await opened();
  if (session.send({ type: "text_input", text })) input.value = "";
});

// Waits, up to five seconds, until the session is open.
async function opened() {
  for (let tries = 0; tries < 100 && state.connection !== "open"; tries += 1) {
    await new Promise((done) => setTimeout(done, 50));
  }
}

setInterval(() => session?.send({ type: "request_status" }), STATUS_EVERY_MS);
if (!soundAllowed()) dispatch({ type: "notice", notice: NO_SOUND });
draw(state);
