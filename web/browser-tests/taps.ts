/**
 * Taps a page: records every sample at the speaker and the microphone from the page's own audio graph, and every frame
 * on its socket. All times are `Date.now()`, the clock shared by the page and its worklets.
 */

/** A render quantum of 128 samples: start on the context's clock in seconds, time of rendering, peak. */
export interface Quantum {
  atS: number;
  now: number;
  peak: number;
}

export interface Track {
  rateHz: number;
  /** Output latency after the graph, as the browser reports it. */
  latencyMs: number;
  quanta: Quantum[];
  samples: Float32Array[];
}

export interface Frame {
  now: number;
  /** Message type; empty for audio. */
  type: string;
  turnId: number;
  /** Text or message for the user; empty where there is none. */
  text: string;
  pcm: Int16Array | null;
}

export interface Taps {
  speaker: Track;
  /** What audio contexts without a worklet play: recordings and tries of a voice. */
  player: Track;
  microphone: Track;
  sent: Frame[];
  received: Frame[];
  /** The microphone tracks that the page was given, oldest first. */
  tracks: MediaStreamTrack[];
  /** How long the user considers the permission, in milliseconds. */
  permissionMs: number;
  /** The page's most recent socket. */
  socket: WebSocket | null;
}

declare global {
  interface Window {
    taps: Taps;
  }
}

/** Path of the worklet below: the page's security policy requires its own origin. */
export const TAP_PATH = "/tap.worklet.js";

export const TAP_WORKLET = `
registerProcessor("tap", class extends AudioWorkletProcessor {
  process([[samples]]) {
    if (!samples) return true;
    let peak = 0;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    this.port.postMessage({ atS: currentTime, now: Date.now(), peak, samples: samples.slice() });
    return true;
  }
});`;

/** Runs in the page before its own scripts; it must not use anything outside its own body. */
export function installTaps({ path, deviceHz }: { path: string; deviceHz: number | null }): void {
  const track = (): Track => ({ rateHz: 0, latencyMs: 0, quanta: [], samples: [] });
  const taps: Taps = {
    speaker: track(),
    player: track(),
    microphone: track(),
    sent: [],
    received: [],
    tracks: [],
    permissionMs: 0,
    socket: null,
  };
  window.taps = taps;

  function tapNode(source: AudioNode, to: Track): void {
    const context = source.context as AudioContext;
    const tap = new AudioWorkletNode(context, "tap", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
    });
    tap.port.onmessage = ({ data }: MessageEvent<Quantum & { samples: Float32Array }>) => {
      to.rateHz = context.sampleRate;
      to.latencyMs = (context.baseLatency + context.outputLatency) * 1000;
      to.quanta.push({ atS: data.atS, now: data.now, peak: data.peak });
      to.samples.push(data.samples);
    };
    connect.call(source, tap);
  }

  /** Loads the tap into a context that has no worklet of its own; what is played meanwhile, some ms, is missed. */
  async function tapPlayer(source: AudioNode): Promise<void> {
    const { audioWorklet } = source.context as AudioContext;
    tapped.add(audioWorklet);
    await addModule.call(audioWorklet, path);
    tapNode(source, taps.player);
  }

  function frame(data: unknown): Frame {
    const now = Date.now();
    if (typeof data !== "string") {
      const pcm = data instanceof ArrayBuffer ? new Int16Array(data.slice(0)) : null;
      return { now, type: "", turnId: 0, text: "", pcm };
    }
    const message = JSON.parse(data) as { type: string; turn_id?: number; text?: string; message?: string };
    const { type, turn_id: turnId = 0, text = message.message ?? "" } = message;
    return { now, type, turnId, text, pcm: null };
  }

  window.WebSocket = class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      taps.socket = this;
      // Runs before the page's own listener, which transfers the buffer.
      this.addEventListener("message", ({ data }) => taps.received.push(frame(data)));
    }

    override send(data: string | ArrayBufferLike | Blob | ArrayBufferView): void {
      taps.sent.push(frame(data));
      super.send(data);
    }
  };

  // Without a secure context the page has no audio.
  if (!window.isSecureContext) return;
  const { mediaDevices } = navigator;
  const getUserMedia = mediaDevices.getUserMedia.bind(mediaDevices);
  mediaDevices.getUserMedia = async (constraints) => {
    await new Promise((done) => setTimeout(done, taps.permissionMs));
    const stream = await getUserMedia(constraints);
    taps.tracks.push(...stream.getAudioTracks());
    return stream;
  };

  const tapped = new WeakSet<AudioWorklet>();
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const addModule = Worklet.prototype.addModule;
  Worklet.prototype.addModule = async function (this: AudioWorklet, url, options) {
    if (!tapped.has(this)) {
      tapped.add(this);
      await addModule.call(this, path);
    }
    await addModule.call(this, url, options);
  };

  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with its own `this` below
  const connect: (this: AudioNode, to: AudioNode) => AudioNode = AudioNode.prototype.connect;
  AudioNode.prototype.connect = function (this: AudioNode, to: AudioNode) {
    if (to instanceof AudioDestinationNode) {
      if (tapped.has((this.context as AudioContext).audioWorklet)) tapNode(this, taps.speaker);
      else void tapPlayer(this);
    } else if (this instanceof MediaStreamAudioSourceNode) tapNode(this, taps.microphone);
    return connect.call(this, to);
  } as AudioNode["connect"];

  if (deviceHz === null) return;
  // A context without an explicit rate uses the device's: here, the one that the test sets.
  window.AudioContext = class extends AudioContext {
    constructor(options?: AudioContextOptions) {
      super({ sampleRate: Number(deviceHz), ...options });
    }
  };
}
