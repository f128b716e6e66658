/** Plays replies from a jitter buffer and reports to the page how much of them was heard. */
import { JitterBuffer } from "./jitter_buffer";
import { PlayedRecorder } from "./played_recorder";
import type { PlaybackCommand, PlaybackEvent } from "./worklet_messages";

class Playback extends AudioWorkletProcessor {
  readonly #buffer = new JitterBuffer(sampleRate);
  // What is played, while the page records it.
  #recorder: PlayedRecorder | null = null;

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlaybackCommand>) => {
      this.#handleCommand(data);
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [first, ...others] = outputs[0] ?? [];
    if (!first) return true;
    const report = this.#buffer.pull(first);
    for (const other of others) other.set(first);
    if (report) this.#post({ kind: "playback", report });
    this.#recorder?.push(first, currentTime);
    return true;
  }

  #handleCommand(command: PlaybackCommand): void {
    switch (command.kind) {
      case "setPosition":
        this.#buffer.setPosition(command.turnId, command.offsetMs, command.latencyMs);
        break;
      case "push": {
        const samples = this.#buffer.push(new Int16Array(command.pcm));
        if (samples > 0) this.#post({ kind: "overflow", samples });
        break;
      }
      case "record":
        this.#recorder = command.on
          ? new PlayedRecorder(sampleRate, (played) => {
              this.port.postMessage({ kind: "played", ...played } satisfies PlaybackEvent, [played.pcm]);
            })
          : null;
        break;
      case "pause":
      case "resume":
      case "stop":
      case "endReply":
        this.#buffer[command.kind]();
        break;
    }
  }

  #post(event: PlaybackEvent): void {
    this.port.postMessage(event);
  }
}

registerProcessor("playback", Playback);
