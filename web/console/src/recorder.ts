/** Records both sides of a conversation into two WAV files of the browser's own file system, which no server sees. */
import type { AnchorRecorder } from "@ai-anchor/client";
import { wavHeader, WavTrack } from "./wav_track";

/** A recording ends by itself after this time, in milliseconds: 4 hours, 1.2 GB. */
export const LONGEST_RECORDING_MS = 4 * 3_600_000;
const MICROPHONE_HZ = 16_000;
const REPLY_HZ = 24_000;
const FOLDER = "recordings";
// Bytes written at a time, and those that may wait for the disk: 100 s of both sides.
const BLOCK_BYTES = 64 * 1024;
const MAX_WAITING_BYTES = 8 * 1024 * 1024;

export interface Recording {
  /** In milliseconds since 1970. */
  fromMs: number;
  lengthMs: number;
  microphone: File;
  reply: File;
}

/** A recording that runs, from `start` to `stop`. */
export class Recorder implements AnchorRecorder {
  readonly fromMs = Date.now();
  readonly #startedAtMs = performance.now();
  readonly #microphone: WavFile;
  readonly #reply: WavFile;
  readonly #microphoneTrack: WavTrack;
  readonly #replyTrack: WavTrack;

  private constructor(microphone: WavFile, reply: WavFile) {
    this.#microphone = microphone;
    this.#reply = reply;
    this.#microphoneTrack = new WavTrack(MICROPHONE_HZ, (bytes) => {
      microphone.write(bytes);
    });
    this.#replyTrack = new WavTrack(REPLY_HZ, (bytes) => {
      reply.write(bytes);
    });
  }

  /** Begins a recording; the files of the one before are deleted. Rejects when the browser gives no room for files. */
  static async start(onFailed: () => void): Promise<Recorder> {
    const root = await navigator.storage.getDirectory();
    await deleteRecordings(root);
    const folder = await root.getDirectoryHandle(FOLDER, { create: true });
    const open = (name: string, rateHz: number) => WavFile.open(folder, name, rateHz, onFailed);
    return new Recorder(await open("microphone.wav", MICROPHONE_HZ), await open("reply.wav", REPLY_HZ));
  }

  get lengthMs(): number {
    return performance.now() - this.#startedAtMs;
  }

  onMicrophone(pcm: ArrayBuffer, atS: number): void {
    this.#microphoneTrack.push(pcm, atS * 1000, this.lengthMs);
  }

  onPlayed(pcm: ArrayBuffer, atS: number): void {
    this.#replyTrack.push(pcm, atS * 1000, this.lengthMs);
  }

  /** Ends the recording; rejects when the files could not be written. */
  async stop(): Promise<Recording> {
    const lengthMs = this.lengthMs;
    this.#microphoneTrack.end(lengthMs);
    this.#replyTrack.end(lengthMs);
    return {
      fromMs: this.fromMs,
      lengthMs,
      microphone: await this.#microphone.finish(this.#microphoneTrack.samples),
      reply: await this.#reply.finish(this.#replyTrack.samples),
    };
  }
}

async function deleteRecordings(root: FileSystemDirectoryHandle): Promise<void> {
  try {
    await root.removeEntry(FOLDER, { recursive: true });
  } catch (error) {
    // There is none.
    if (!(error instanceof DOMException && error.name === "NotFoundError")) throw error;
  }
}

/** A WAV file that grows. What is written waits in memory for the disk, up to a bound; beyond it the file has failed. */
class WavFile {
  readonly #handle: FileSystemFileHandle;
  readonly #stream: FileSystemWritableFileStream;
  readonly #rateHz: number;
  readonly #onFailed: () => void;
  #block = new Uint8Array(BLOCK_BYTES);
  #filled = 0;
  #waitingBytes = 0;
  #writes: Promise<void> = Promise.resolve();
  #error: Error | null = null;

  private constructor(
    handle: FileSystemFileHandle,
    stream: FileSystemWritableFileStream,
    rateHz: number,
    onFailed: () => void,
  ) {
    this.#handle = handle;
    this.#stream = stream;
    this.#rateHz = rateHz;
    this.#onFailed = onFailed;
  }

  static async open(
    folder: FileSystemDirectoryHandle,
    name: string,
    rateHz: number,
    onFailed: () => void,
  ): Promise<WavFile> {
    const handle = await folder.getFileHandle(name, { create: true });
    const file = new WavFile(handle, await handle.createWritable(), rateHz, onFailed);
    file.write(wavHeader(rateHz, 0));
    return file;
  }

  write(bytes: Uint8Array<ArrayBuffer>): void {
    for (let from = 0; from < bytes.length;) {
      const count = Math.min(bytes.length - from, this.#block.length - this.#filled);
      this.#block.set(bytes.subarray(from, from + count), this.#filled);
      this.#filled += count;
      from += count;
      if (this.#filled === this.#block.length) this.#flush();
    }
  }

  async finish(samples: number): Promise<File> {
    this.#flush();
    await this.#writes;
    if (this.#error) throw this.#error;
    await this.#stream.write({ type: "write", position: 0, data: wavHeader(this.#rateHz, samples) });
    await this.#stream.close();
    return this.#handle.getFile();
  }

  #flush(): void {
    const block = this.#block.subarray(0, this.#filled);
    this.#block = new Uint8Array(BLOCK_BYTES);
    this.#filled = 0;
    if (this.#error) return;
    this.#waitingBytes += block.length;
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      this.#fail(new Error("the disk is too slow"));
      return;
    }
    this.#writes = this.#writes
      .then(() => this.#stream.write(block))
      .then(
        () => {
          this.#waitingBytes -= block.length;
        },
        (error: unknown) => {
          this.#fail(error instanceof Error ? error : new Error(String(error)));
        },
      );
  }

  #fail(error: Error): void {
    if (this.#error) return;
    this.#error = error;
    this.#onFailed();
  }
}
