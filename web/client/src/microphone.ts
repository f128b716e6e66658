/** `Microphone`: captures a device as PCM16 frames. */
import captureUrl from "./worklets/capture.worklet?worker&url";
import type { CapturedFrame, CaptureOptions } from "./worklets/worklet_messages";

/** Sample rate of the frames, in hertz, as the server expects it. */
export const MICROPHONE_HZ = 16000;

export interface MicrophoneOptions {
  /** Id of the input device; the system's default when absent. */
  deviceId?: string | undefined;
  /**
   * Gets 20 ms of PCM16 mono at 16 kHz, and its peak, 0 to 1, every 20 ms; silence while the track is muted. `atS` is when
   * its last sample was captured, in seconds on a clock that begins anew with every microphone.
   */
  onFrame: (pcm: ArrayBuffer, peak: number, atS: number) => void;
  /** Called when the device disappears. */
  onLost: () => void;
  /** Called when the system mutes the device, as a switch on it or a phone call does, and when that ends. */
  onSystemMuted?: (muted: boolean) => void;
  /** Whether the track is muted until `setMuted(false)`; default false. */
  muted?: boolean;
  /** Withdraws the request: a device that is opened nevertheless is stopped at once. */
  signal?: AbortSignal;
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

  /**
   * Opens a device. Rejects with the browser's `DOMException`: `NotAllowedError`, `NotFoundError`, `NotReadableError`; with
   * `AbortError` when the signal withdrew the request.
   */
  static async open(options: MicrophoneOptions): Promise<Microphone> {
    const { deviceId, muted = false, signal } = options;
    signal?.throwIfAborted();
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
    // Before anything else: the answer may come long after the request, and until it is used, nothing is heard.
    for (const track of stream.getTracks()) track.enabled = !muted;
    const stopTracks = () => {
      for (const track of stream.getTracks()) track.stop();
    };
    signal?.addEventListener("abort", stopTracks);
    let microphone: Microphone | null = null;
    try {
      signal?.throwIfAborted();
      microphone = new Microphone(stream, new AudioContext({ latencyHint: "interactive" }));
      await microphone.#capture(options);
      signal?.throwIfAborted();
      if (microphone.#isEnded) throw new DOMException("The microphone went away.", "NotFoundError");
      return microphone;
    } catch (error) {
      stopTracks();
      await microphone?.close();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stopTracks);
    }
  }

  /** Whether the system has muted the device. */
  get isSystemMuted(): boolean {
    return this.#stream.getTracks().some(({ muted }) => muted);
  }

  /** Mutes the track, which then gives silence, or ends that. The device stays open. */
  setMuted(muted: boolean): void {
    for (const track of this.#stream.getTracks()) track.enabled = !muted;
  }

  /** Stops the track at once, and resolves once its audio context is closed, too. */
  async close(): Promise<void> {
    for (const track of this.#stream.getTracks()) {
      track.onended = track.onmute = track.onunmute = null;
      track.stop();
    }
    await this.#context.close();
  }

  get #isEnded(): boolean {
    return this.#stream.getTracks().every(({ readyState }) => readyState === "ended");
  }

  async #capture({ onFrame, onLost, onSystemMuted }: MicrophoneOptions): Promise<void> {
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
    for (const track of this.#stream.getTracks()) {
      track.onended = onLost;
      track.onmute = () => onSystemMuted?.(true);
      track.onunmute = () => onSystemMuted?.(false);
    }
    await context.resume();
  }
}

// Newer browsers report the kind of echo cancellation as a string, older ones a boolean.
function echoCancellationOf(settings: MediaTrackSettings | undefined): boolean | undefined {
  const value = settings?.echoCancellation as boolean | string | undefined;
  return value === undefined ? undefined : Boolean(value);
}
