// What the page shows, as one value, and how each event changes it. Pure: no socket, no sound, no document.

// Older turns are let go: a page may stay open for days.
const MAX_TURNS = 200;

export const INITIAL = Object.freeze({
  connection: "idle", // idle, connecting, open, lost, closed
  microphone: "off", // off, starting, on
  sound: false, // whether replies are played here
  user: "silent", // silent, speaking
  anchor: "idle", // idle, thinking, speaking, paused
  notice: "",
  turns: [],
  services: [],
  gpu: null,
});

// What the failure of a service means to someone who does not know it; by the code's first word.
const PLAIN = {
  vad: "Listening for pauses is less exact at the moment.",
  stt: "The anchor cannot hear you at the moment. Writing works.",
  tts: "The voice is away at the moment. Answers come in text.",
  llm: "The language model is away at the moment.",
};

const NEW_TURN = Object.freeze({
  userText: "",
  provisional: false,
  replyText: "",
  engine: "",
  marks: [],
  heardChars: null, // code points of the reply heard so far; null while that is not known
  heardText: null, // what was heard in the end; null while the reply lasts
  interrupted: false,
  failure: "",
  latency: null,
});

export function reduce(state, event) {
  switch (event.type) {
    case "connecting":
      return { ...state, connection: event.again ? "lost" : "connecting" };
    case "connection_lost":
      return lost(state, event);
    case "microphone":
      return { ...state, microphone: event.state, user: "silent", notice: event.notice ?? state.notice };
    case "sound":
      return { ...state, sound: true };
    case "notice":
      return { ...state, notice: event.notice };
    case "heard":
      return inTurn(state, event.turnId, (turn) => ({ heardChars: charsHeard(turn, event.playedMs) }));

    case "session_started":
      return { ...state, connection: "open", notice: "" };
    case "speech_started":
      return { ...state, user: "speaking" };
    case "speech_stopped":
      return { ...state, user: "silent" };
    case "partial_transcript":
      return inTurn(state, event.turn_id, () => ({ userText: event.text, provisional: true }));
    case "final_transcript":
      return inTurn(state, event.turn_id, () => ({ userText: event.text }));
    case "turn_committed":
      return {
        ...inTurn(state, event.turn_id, () => ({ userText: event.text, provisional: false })),
        notice: "",
        anchor: state.anchor === "speaking" ? "speaking" : "thinking",
      };
    case "reply_started":
      return { ...inTurn(state, event.turn_id, () => ({ engine: event.engine })), anchor: "thinking" };
    case "reply_text":
      return inTurn(state, event.turn_id, (turn) => ({ replyText: turn.replyText + event.text }));
    case "reply_audio":
      return { ...state, anchor: "speaking" };
    case "speech_mark":
      return inTurn(state, event.turn_id, (turn) => ({
        marks: [...turn.marks, { end: event.text_end, atMs: event.offset_ms }],
        heardChars: state.sound ? (turn.heardChars ?? 0) : null,
      }));
    case "playback_pause":
      return { ...state, anchor: "paused" };
    case "playback_resume":
      return { ...state, anchor: "speaking" };
    case "playback_stop":
      return { ...state, anchor: "idle" };
    case "barge_in_settled":
      return event.verdict.includes("_STOP_") ? state : falseAlarm(state, event);
    case "reply_finished":
      return {
        ...inTurn(state, event.turn_id, () => ({ heardText: event.heard_text, interrupted: event.interrupted })),
        anchor: "idle",
      };
    case "turn_failed":
      return inTurn(state, event.turn_id, () => ({ failure: event.message, provisional: false }));
    case "latency_waterfall":
      return inTurn(state, event.turn_id, () => ({ latency: event }));
    case "system_status":
      return { ...state, services: event.services, gpu: event.gpu ?? null };
    case "error":
      return { ...state, notice: plainly(event) };
    case "session_ended":
      return { ...state, notice: event.message };
    case "turn_end_predicted":
    case "reply_audio_ended":
    case "session_updated":
      return state;
    default:
      console.warn(`unknown event ${event.type}`);
      return state;
  }
}

// What sounded over the reply was no turn: a listener's "mhm" may stand, what nobody said may not.
function falseAlarm(state, { turn_id, verdict }) {
  if (verdict === "BARGE_IN_VERDICT_BACKCHANNEL") return inTurn(state, turn_id, () => ({ provisional: false }));
  return { ...state, turns: state.turns.filter((turn) => turn.id !== turn_id) };
}

function plainly({ code, message }) {
  // A service that came back is no longer worth a word.
  if (code.endsWith(".back")) return "";
  return PLAIN[code.split(".")[0]] ?? message;
}

function lost(state, { final, reason }) {
  return {
    ...state,
    connection: final ? "closed" : "lost",
    user: "silent",
    anchor: "idle",
    notice: final ? state.notice || reason || "The session is over." : state.notice,
    turns: state.turns.map((turn) => (turn.provisional ? { ...turn, provisional: false } : turn)),
  };
}

function inTurn(state, id, change) {
  const known = state.turns.find((turn) => turn.id === id);
  const turn = known ?? { ...NEW_TURN, id };
  const changed = { ...turn, ...change(turn) };
  const turns = known ? state.turns.map((each) => (each === known ? changed : each)) : [...state.turns, changed];
  return { ...state, turns: turns.slice(-MAX_TURNS) };
}

function charsHeard(turn, playedMs) {
  if (turn.marks.length === 0) return null;
  return turn.marks.reduce((heard, mark) => (mark.atMs <= playedMs ? Math.max(heard, mark.end) : heard), 0);
}

// One line on where the time of a turn went; empty while nothing is known.
export function latencyLine(latency) {
  if (!latency) return "";
  const first = latency.first_sample_heard_ms ?? latency.first_frame_sent_ms;
  const stages = [
    ["transcript", latency.final_transcript_ms],
    ["first word", latency.first_token_ms],
    ["voice", latency.first_audio_ms],
    ["turn over", latency.turn_committed_ms],
    ["sent", latency.first_frame_sent_ms],
  ];
  // In the order in which they happened: the anchor may begin to think before the turn is over.
  const known = stages.filter(([, ms]) => ms !== undefined).sort(([, a], [, b]) => a - b);
  const headline = first === undefined ? [] : [`first sound after ${(first / 1000).toFixed(2)} s`];
  return [...headline, ...known.map(([name, ms]) => `${name} ${ms} ms`)].join(" · ");
}
