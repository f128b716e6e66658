/** Exports a conversation as text, SubRip or WebVTT subtitles, or JSON. */
import { type Cue, cuesOf, speakerOf } from "./cues";
import { responseMs } from "./latency";
import { heardReply, type Turn } from "./turn";

export type TranscriptFormat = "txt" | "srt" | "vtt" | "json";

export const MEDIA_TYPES: Readonly<Record<TranscriptFormat, string>> = {
  txt: "text/plain",
  srt: "application/x-subrip",
  vtt: "text/vtt",
  json: "application/json",
};

/** A line of a subtitle has about this many characters. */
const LINE_CHARS = 42;

/**
 * The turns in `format`. Of an interrupted reply, only the heard part counts. Subtitles begin at their first cue, or at
 * `zeroMs`, in milliseconds since 1970; cues before that are left out.
 */
export function formatTranscript(turns: readonly Turn[], format: TranscriptFormat, zeroMs?: number): string {
  switch (format) {
    case "txt":
      return toText(turns);
    case "srt":
      return toSrt(fromZero(turns, zeroMs)[0]);
    case "vtt":
      return toVtt(...fromZero(turns, zeroMs));
    case "json":
      return toJson(turns);
  }
}

/** Name of a file: the anchor and the local time at which the conversation began, `nora-2026-12-01-091502.srt`. */
export function fileName(turns: readonly Turn[], ending: string, fromMs = beginningOf(turns)): string {
  const speaker = turns.findLast(({ speaker }) => speaker)?.speaker ?? "";
  const name = speaker
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}]+/gu, "-")
    .replaceAll(/^-+|-+$/g, "");
  return `${name || "conversation"}-${localTime(fromMs).replace(" ", "-").replaceAll(":", "")}${ending}`;
}

/** Milliseconds as a timestamp of WebVTT, or with a comma of SubRip: `00:01:02.345`. */
export function timestamp(ms: number, mark: "." | "," = "."): string {
  const whole = Math.max(0, Math.round(ms));
  const clock = [whole / 3_600_000, (whole / 60_000) % 60, (whole / 1000) % 60].map(two).join(":");
  return `${clock}${mark}${String(whole % 1000).padStart(3, "0")}`;
}

function toText(turns: readonly Turn[]): string {
  const line = (atMs: number | null, speaker: string, text: string): string =>
    `${atMs === null ? "" : `[${localTime(atMs)}] `}${speaker}: ${text}`;
  const blocks = turns
    .filter(({ replacedBy }) => replacedBy === null)
    .map((turn) =>
      [
        ...(turn.userText ? [line(turn.userFromMs, "You", turn.userText)] : []),
        ...(heardReply(turn)
          ? [line(turn.replyFromMs, speakerOf(turn), `${heardReply(turn)}${turn.interrupted ? " …" : ""}`)]
          : []),
        "",
      ].join("\n"),
    );
  return blocks.join("\n");
}

function fromZero(turns: readonly Turn[], zeroMs: number | undefined): [Cue[], number] {
  const cues = cuesOf(turns);
  const zero = zeroMs ?? cues[0]?.startMs ?? 0;
  const shifted = cues.map((cue) => ({ ...cue, startMs: cue.startMs - zero, endMs: cue.endMs - zero }));
  return [shifted.filter(({ endMs }) => endMs > 0), zero];
}

function toSrt(cues: readonly Cue[]): string {
  return cues
    .map(({ speaker, startMs, endMs, text }, index) => {
      const times = `${timestamp(startMs, ",")} --> ${timestamp(endMs, ",")}`;
      // SubRip has no way to write a bracket that is none of its tags.
      const words = twoLines(`${speaker}: ${text}`).replaceAll("<", "‹").replaceAll(">", "›");
      return `${index + 1}\n${times}\n${words}\n\n`;
    })
    .join("");
}

function toVtt(cues: readonly Cue[], zeroMs: number): string {
  const blocks = cues.map(({ speaker, language, startMs, endMs, text }) => {
    const words = escapeVtt(twoLines(text));
    const marked = language ? `<lang ${escapeVtt(language)}>${words}</lang>` : words;
    return `${timestamp(startMs)} --> ${timestamp(endMs)}\n<v ${escapeVtt(speaker)}>${marked}\n`;
  });
  return ["WEBVTT\n", `NOTE 00:00:00.000 is ${new Date(zeroMs).toISOString()}\n`, ...blocks].join("\n");
}

function toJson(turns: readonly Turn[]): string {
  const exported = turns.map((turn) => ({
    conversation: Number(turn.key.split(".")[0]),
    turn: turn.id,
    ...(turn.replacedBy === null ? {} : { replaced_by: turn.replacedBy }),
    user: turn.userText,
    user_language: turn.userLanguage,
    user_began_at: isoTime(turn.userFromMs),
    user_ended_at: isoTime(turn.userToMs),
    speaker: speakerOf(turn),
    persona: turn.persona,
    voice: turn.voice,
    reply_language: turn.replyLanguage,
    engine: turn.engine,
    reply: turn.replyText,
    reply_heard: heardReply(turn),
    reply_began_at: isoTime(turn.replyFromMs),
    reply_ended_at: isoTime(turn.replyToMs),
    interrupted: turn.interrupted,
    ...(turn.failure ? { failure: turn.failure } : {}),
    latency_ms: latencyOf(turn),
    marks: turn.marks.map(({ textStart, textEnd, offsetMs }) => ({
      text_start: textStart,
      text_end: textEnd,
      offset_ms: Math.round(offsetMs),
    })),
  }));
  return `${JSON.stringify({ began_at: isoTime(beginningOf(turns)), turns: exported }, null, 2)}\n`;
}

// The stages of the waterfall, in whole milliseconds after the end of the user's speech; null before they are known.
function latencyOf({ latency }: Turn): Record<string, number | null> | null {
  if (!latency) return null;
  const stages: Record<string, number | undefined> = {
    first_sound: responseMs(latency),
    speech_stopped: latency.speechStoppedMs,
    final_transcript: latency.finalTranscriptMs,
    turn_committed: latency.turnCommittedMs,
    first_token: latency.firstTokenMs,
    first_phrase: latency.firstPhraseMs,
    first_audio: latency.firstAudioMs,
    first_frame_sent: latency.firstFrameSentMs,
    first_sample_heard: latency.firstSampleHeardMs,
  };
  return Object.fromEntries(
    Object.entries(stages).map(([name, ms]) => [name, ms === undefined ? null : Math.round(ms)]),
  );
}

function beginningOf(turns: readonly Turn[]): number {
  const times = turns.flatMap(({ userFromMs, replyFromMs }) => [userFromMs ?? [], replyFromMs ?? []].flat());
  return times.length > 0 ? Math.min(...times) : Date.now();
}

function isoTime(atMs: number | null): string | null {
  return atMs === null ? null : new Date(atMs).toISOString();
}

/** The local time of this machine: `2026-12-01 09:15:02`. */
function localTime(atMs: number): string {
  const at = new Date(atMs);
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(two).join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`;
}

function two(value: number): string {
  return String(Math.floor(value)).padStart(2, "0");
}

// Breaks a text that is longer than a line at the space nearest to its middle.
function twoLines(text: string): string {
  if (text.length <= LINE_CHARS) return text;
  const middle = text.length / 2;
  const spaces = Array.from(text.matchAll(/ /g), ({ index }) => index);
  const nearest = spaces.sort((one, other) => Math.abs(one - middle) - Math.abs(other - middle))[0];
  return nearest === undefined ? text : `${text.slice(0, nearest)}\n${text.slice(nearest + 1)}`;
}

function escapeVtt(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
