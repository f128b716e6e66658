// Draws the state. Knows the document and nothing else; text only ever enters as text.
import { latencyLine } from "./conversation.js";

const CONNECTION = {
  idle: "not connected",
  connecting: "connecting…",
  open: "connected",
  lost: "reconnecting…",
  closed: "session over",
};
const HEALTH = {
  SERVICE_HEALTH_READY: "ready",
  SERVICE_HEALTH_LOADING: "loading",
  SERVICE_HEALTH_DOWN: "down",
  SERVICE_HEALTH_UNSPECIFIED: "unknown",
};
// How near the end, in pixels, the reader must be for the page to follow the conversation.
const FOLLOW_PX = 120;

const find = (id) => document.getElementById(id);
const drawn = new Map(); // turn id → { turn, item }

export function draw(state) {
  document.body.dataset.connection = state.connection;
  document.body.dataset.microphone = state.microphone;
  document.body.dataset.user = state.user;
  document.body.dataset.anchor = state.anchor;
  setText(find("connection"), CONNECTION[state.connection]);
  setText(find("notice"), state.notice);
  find("notice").hidden = !state.notice;
  setText(find("activity"), activity(state));
  setText(find("talk-label"), state.microphone === "on" ? "Close the microphone" : "Talk");
  find("talk").setAttribute("aria-pressed", String(state.microphone === "on"));
  find("talk").disabled = state.connection === "closed";
  find("interrupt").hidden = state.anchor === "idle";
  find("welcome").hidden = state.turns.length > 0;
  drawTurns(state.turns);
  drawServices(state);
}

// How loud it is, 0 to 1: the ring around the button follows.
export function drawLevel(level) {
  find("talk").style.setProperty("--level", level.toFixed(3));
}

function activity(state) {
  if (state.connection === "closed") return "Reload the page to begin again.";
  if (state.connection === "lost") return "The line dropped. Coming back…";
  if (state.connection === "connecting" || state.microphone === "starting") return "One moment…";
  if (state.anchor === "paused") return "Go on, I am listening.";
  if (state.user === "speaking") return "Listening…";
  if (state.anchor === "speaking") return "Speaking. Talk over me to stop.";
  if (state.anchor === "thinking") return "Thinking…";
  if (state.microphone === "on") return "I am listening.";
  return state.turns.length > 0 ? "The microphone is off." : "Press to talk.";
}

function drawTurns(turns) {
  const list = find("turns");
  const stage = find("stage");
  const following = stage.scrollHeight - stage.scrollTop - stage.clientHeight < FOLLOW_PX;
  const present = new Set(turns.map((turn) => turn.id));
  for (const [id, { item }] of drawn) {
    if (present.has(id)) continue;
    item.remove();
    drawn.delete(id);
  }
  let changed = false;
  for (const turn of turns) {
    const known = drawn.get(turn.id);
    if (known?.turn === turn) continue;
    const item = known?.item ?? list.appendChild(element("li", "turn"));
    item.replaceChildren(...turnParts(turn));
    drawn.set(turn.id, { turn, item });
    changed = true;
  }
  if (changed && following) stage.scrollTop = stage.scrollHeight;
}

function turnParts(turn) {
  const parts = [];
  if (turn.userText) {
    parts.push(said("user", "You", [element("span", turn.provisional ? "provisional" : "", turn.userText)]));
  }
  if (turn.replyText) parts.push(said("anchor", "Anchor", replyWords(turn)));
  if (turn.failure) parts.push(element("p", "failure", turn.failure));
  const details = [turn.engine, latencyLine(turn.latency)].filter(Boolean).join(" · ");
  if (details) parts.push(element("p", "details", details));
  return parts;
}

function said(who, name, words) {
  const line = element("div", `said said-${who}`);
  const text = element("p", "words");
  text.append(...words);
  line.append(element("span", "who", name), text);
  return line;
}

// The reply: what was heard, and apart from it what is still to come or was cut off.
function replyWords(turn) {
  const points = Array.from(turn.replyText);
  const heard = heardPoints(turn, points.length);
  const words = [element("span", "heard", points.slice(0, heard).join(""))];
  const rest = points.slice(heard).join("");
  if (turn.interrupted) words.push(element("span", "cut-mark", "cut off"));
  if (rest) words.push(element("span", turn.interrupted ? "cut-off" : "ahead", rest));
  return words;
}

// How many code points of the reply, of `all`, have been heard.
function heardPoints(turn, all) {
  if (turn.interrupted) return Array.from(turn.heardText).length;
  return turn.heardText === null ? (turn.heardChars ?? all) : all;
}

function drawServices({ services, gpu }) {
  const items = services.map((service) => {
    const health = HEALTH[service.health] ?? "unknown";
    const item = element("li", `service service-${health}`);
    item.append(element("b", "", service.service), element("span", "", service.engine || health));
    item.title = [service.service, health, service.engine, service.model].filter(Boolean).join(" · ");
    return item;
  });
  if (gpu) items.push(gpuItem(gpu));
  find("services").replaceChildren(...items);
}

function gpuItem(gpu) {
  const item = element("li", `service service-${gpu.present ? "ready" : "unknown"}`);
  const gib = (mib) => (mib / 1024).toFixed(1);
  const text = gpu.present ? `${gib(gpu.memory_used_mib)} of ${gib(gpu.memory_total_mib)} GiB` : "none";
  item.append(element("b", "", "gpu"), element("span", "", text));
  item.title = gpu.unavailable_reason;
  return item;
}

function element(tag, className, text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
