/** `Microphone`: captures a device as PCM16 frames. */
import captureUrl from "./worklets/capture.worklet?worker&url";
import type { CapturedFrame, CaptureOptions } from "./worklets/worklet_messages";

/** Sample rate of the frames, in hertz, as the server expects it. */
export const MICROPHONE_HZ = 16000;

export interface MicrophoneOptions {
  /** Id of the input device; the system's default when absent. */
  deviceId?: string | undefined;
  /**
   * Gets 20 ms of PCM16 mono at 16 kHz, and its peak, 0 to 1, every 20 ms. `atS` is when its last sample was captured, in
   * seconds on a clock that begins anew with every microphone.
   */
  onFrame: (pcm: ArrayBuffer, peak: number, atS: number) => void;
  /** Called when the device disappears. */
  onLost: () => void;
}

/** The settings in effect; undefined where the browser does not report them. */
export interface MicrophoneSettings {
  label: string;
  deviceId: string | undefined;
  echoCancellation: boolean | undefined;
  /** Rate of the device's audio context, before resampling, in hertz. */
  sampleRateHz: number;
}

/** An open microphone; `close` releases the device. */
export class Microphone {
  readonly settings: MicrophoneSettings;
  readonly #stream: MediaStream;
  readonly #context: AudioContext;

  private constructor(stream: MediaStream, context: AudioContext) {
    this.#stream = stream;
    this.#context = context;
    const track = stream.getAudioTracks()[0];
    const settings = track?.getSettings();
    this.settings = {
      label: track?.label ?? "",
      deviceId: settings?.deviceId,
      echoCancellation: echoCancellationOf(settings),
      sampleRateHz: context.sampleRate,
    };
  }

  /** Opens a device. Rejects with the browser's `DOMException`: `NotAllowedError`, `NotFoundError`, `NotReadableError`. */
  static async open({ deviceId, onFrame, onLost }: MicrophoneOptions): Promise<Microphone> {
    const stream = await navigator.mediaDevices.getUserMedia({
      audio: {
        // Without echo cancellation the anchor's own speech would count as an interruption. Noise suppression is tuned
        // for human listeners and costs the recogniser words: with it, Chromium's "ferry" was transcribed as "free".
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
      onFrame(data.pcm, data.peak, data.atS);
    };
    context.createMediaStreamSource(this.#stream).connect(capture);
    for (const track of this.#stream.getTracks()) track.onended = onLost;
    await context.resume();
  }
}

// Newer browsers report the kind of echo cancellation as a string, older ones a boolean.
function echoCancellationOf(settings: MediaTrackSettings | undefined): boolean | undefined {
  const value = settings?.echoCancellation as boolean | string | undefined;
  return value === undefined ? undefined : Boolean(value);
}
