/** Plays replies, and tells the page how much of them was heard. */
import { PlaybackLine } from "./playback_line";
import type { PlaybackCommand, PlaybackReport } from "./ports";

class Playback extends AudioWorkletProcessor {
  readonly #line = new PlaybackLine(sampleRate);

  constructor() {
    super();
    this.port.onmessage = ({ data }: MessageEvent<PlaybackCommand>) => {
      this.#obey(data);
    };
  }

  process(_inputs: Float32Array[][], outputs: Float32Array[][]): boolean {
    const [first, ...others] = outputs[0] ?? [];
    if (!first) return true;
    const heard = this.#line.play(first);
    for (const other of others) other.set(first);
    if (heard) this.#tell({ kind: "heard", heard });
    return true;
  }

  #obey(command: PlaybackCommand): void {
    switch (command.kind) {
      case "place":
        this.#line.place(command.turnId, command.offsetMs, command.latencyMs);
        break;
      case "push": {
        const samples = this.#line.push(new Int16Array(command.pcm));
        if (samples > 0) this.#tell({ kind: "overflow", samples });
        break;
      }
      case "pause":
      case "resume":
      case "stop":
      case "end":
        this.#line[command.kind]();
        break;
    }
  }

  #tell(report: PlaybackReport): void {
    this.port.postMessage(report);
  }
}

registerProcessor("playback", Playback);
