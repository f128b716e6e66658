/** A microphone that yields PCM16 frames. */
import captureUrl from "./worklets/capture.worklet?worker&url";
import type { CapturedFrame, CaptureOptions } from "./worklets/ports";

/** Rate of the frames, in hertz; what the recognisers hear. */
export const MICROPHONE_HZ = 16000;

export interface MicrophoneOptions {
  /** The device's id; the system's choice when absent. */
  deviceId?: string | undefined;
  /** Gets 20 ms of PCM16 mono at 16 kHz and the loudest sample, 0 to 1, every 20 ms. */
  onFrame: (pcm: ArrayBuffer, peak: number) => void;
  /** Called when the device goes away by itself. */
  onLost: () => void;
}

/** What the browser really does to the sound; undefined where it does not say. */
export interface MicrophoneTraits {
  label: string;
  deviceId: string | undefined;
  echoCancellation: boolean | undefined;
  contextHz: number;
}

/** An open microphone. Close it to let the device go. */
export class Microphone {
  readonly traits: MicrophoneTraits;
  readonly #stream: MediaStream;
  readonly #context: AudioContext;

  private constructor(stream: MediaStream, context: AudioContext) {
    this.#stream = stream;
    this.#context = context;
    const track = stream.getAudioTracks()[0];
    const settings = track?.getSettings();
    this.traits = {
      label: track?.label ?? "",
      deviceId: settings?.deviceId,
      echoCancellation: echoCancellationOf(settings),
      contextHz: context.sampleRate,
    };
  }

  /** Opens a device. Rejects with the browser's `DOMException`: `NotAllowedError`, `NotFoundError`, `NotReadableError`. */
  static async open({ deviceId, onFrame, onLost }: MicrophoneOptions): Promise<Microphone> {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        // Without echo cancellation the anchor would hear itself, and take that for an interruption. Noise suppression
        // is made for human ears and costs a recogniser words (in Chromium "ferry" was heard as "free" with it only).
        echoCancellation: true,
        noiseSuppression: false,
        autoGainControl: true,
        channelCount: 1,
        ...(deviceId ? { deviceId: { exact: deviceId } } : {}),
      },
    });
    const context = new AudioContext({ latencyHint: "interactive" });
    const microphone = new Microphone(stream, context);
    try {
      await microphone.#capture(onFrame, onLost);
    } catch (error) {
      await microphone.close();
      throw error;
    }
    return microphone;
  }

  async close(): Promise<void> {
    for (const track of this.#stream.getTracks()) {
      track.onended = null;
      track.stop();
    }
    await this.#context.close();
  }

  async #capture(onFrame: MicrophoneOptions["onFrame"], onLost: () => void): Promise<void> {
    const context = this.#context;
    await context.audioWorklet.addModule(captureUrl);
    const processorOptions: CaptureOptions = { rateHz: MICROPHONE_HZ };
    const capture = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions,
    });
    capture.port.onmessage = ({ data }: MessageEvent<CapturedFrame>) => {
      onFrame(data.pcm, data.peak);
    };
    context.createMediaStreamSource(this.#stream).connect(capture);
    for (const track of this.#stream.getTracks()) track.onended = onLost;
    await context.resume();
  }
}

// Newer browsers say how they cancel echo, in a word, older ones only whether.
function echoCancellationOf(settings: MediaTrackSettings | undefined): boolean | undefined {
  const told = settings?.echoCancellation as boolean | string | undefined;
  return told === undefined ? undefined : Boolean(told);
}
