/**
 * The page `captions.html`: nothing but the captions of one conversation, on a transparent ground, for a programme that
 * lays it over a picture. `#key=watch_…` names the conversation; `?size=48` sets the size of the letters in pixels, and
 * `?user=0` leaves out what the user says.
 */
import "./style/caption_page.css";
import { captionLines, type CaptionMessage, updateCaptions } from "./caption_lines";

// Delays between attempts to connect, in milliseconds; the last one repeats.
const RETRY_MS = [500, 1000, 2000, 5000];
// How long the last caption stays after the reply has ended, in milliseconds.
const LINGER_MS = 6000;
const MIN_SIZE_PX = 12;
const MAX_SIZE_PX = 300;

const key = new URLSearchParams(window.location.hash.slice(1)).get("key") ?? "";
const query = new URLSearchParams(window.location.search);
const showsUser = query.get("user") !== "0";
const sizePx = Number(query.get("size"));
if (sizePx >= MIN_SIZE_PX && sizePx <= MAX_SIZE_PX) document.body.style.fontSize = `${sizePx}px`;

let captions: CaptionMessage[] = [];
let failures = 0;
let clearTimer: ReturnType<typeof setTimeout> | undefined;

function connect(): void {
  const url = new URL("ws/captions", window.location.href);
  url.protocol = window.location.protocol === "https:" ? "wss:" : "ws:";
  url.search = url.hash = "";
  const socket = new WebSocket(url.href);
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "watch", key }));
  };
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    const message = JSON.parse(data) as CaptionMessage | { type: "error" };
    if (message.type !== "caption") return;
    failures = 0;
    document.body.dataset["connected"] = "true";
    captions = updateCaptions(captions, message);
    show();
  };
  socket.onclose = () => {
    document.body.dataset["connected"] = "false";
    const delayMs = RETRY_MS[Math.min(failures, RETRY_MS.length - 1)];
    failures += 1;
    clear();
    setTimeout(connect, delayMs);
  };
}

function show(): void {
  const lines = captionLines(captions).filter(({ kind }) => showsUser || kind === "anchor");
  const elements = lines.map(({ kind, speaker, language, text }) => {
    const line = document.createElement("p");
    line.className = `line line-${kind}`;
    if (language) line.lang = language;
    if (speaker) line.dataset["speaker"] = speaker;
    const words = document.createElement("span");
    words.textContent = text;
    line.append(words);
    return line;
  });
  document.getElementById("captions")?.replaceChildren(...elements);
  clearTimeout(clearTimer);
  if (captions.every(({ over }) => over)) clearTimer = setTimeout(clear, LINGER_MS);
}

function clear(): void {
  captions = [];
  document.getElementById("captions")?.replaceChildren();
}

connect();
