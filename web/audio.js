// Ears and mouth of the page: a microphone that yields frames, and a player that knows what was heard.

export const MICROPHONE_HZ = 16000;

// Whether this page may use sound at all: browsers give neither microphone nor worklets to plain HTTP pages, except
// those of the machine itself.
export function soundAllowed() {
  return Boolean(navigator.mediaDevices?.getUserMedia && window.AudioWorkletNode && window.isSecureContext);
}

// An open microphone. `onFrame(pcm, peak)` gets 20 ms of PCM16 at 16 kHz and the loudest sample, 0 to 1; `onLost()` is
// called when the device goes away.
export async function openMicrophone({ onFrame, onLost }) {
  const stream = await navigator.mediaDevices.getUserMedia({
    // Without echo cancellation the anchor would hear itself, and take that for an interruption. Noise suppression is
    // made for human ears and costs a recogniser words (measured in Chromium: "ferry" heard as "free" with it only).
    audio: { echoCancellation: true, noiseSuppression: false, autoGainControl: true, channelCount: 1 },
  });
  const context = new AudioContext({ latencyHint: "interactive" });
  const close = () => {
    for (const track of stream.getTracks()) track.stop();
    return context.close();
  };
  try {
    await context.audioWorklet.addModule("capture.worklet.js");
    const capture = new AudioWorkletNode(context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rateHz: MICROPHONE_HZ },
    });
    capture.port.onmessage = ({ data }) => onFrame(data.pcm, data.peak);
    context.createMediaStreamSource(stream).connect(capture);
    for (const track of stream.getTracks()) track.onended = onLost;
    await context.resume();
  } catch (error) {
    await close();
    throw error;
  }
  return { close };
}

// Plays replies. `onProgress({turnId, playedMs, peak})` says about every 100 ms how much of a reply has been heard.
export class Player {
  #context;
  #node;
  #turnId = null;

  static async open({ rateHz, onProgress }) {
    const player = new Player();
    const context = new AudioContext({ sampleRate: rateHz, latencyHint: "interactive" });
    await context.audioWorklet.addModule("playback.worklet.js");
    player.#node = new AudioWorkletNode(context, "playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
    });
    player.#node.port.onmessage = ({ data }) => {
      if (data.type === "progress") onProgress(data);
      else console.warn(`${data.samples} samples came too far ahead and were dropped`);
    };
    player.#node.connect(context.destination);
    player.#context = context;
    return player;
  }

  // Browsers start sound only at a gesture; calling this in one is enough.
  wake() {
    return this.#context.resume();
  }

  place(turnId, offsetMs) {
    this.#turnId = turnId;
    // Asked each time: it is known only once the sound card runs, and changes with the headphones.
    const latencyMs = (this.#context.baseLatency + (this.#context.outputLatency || 0)) * 1000;
    this.#tell({ command: "place", turnId, offsetMs, latencyMs });
  }

  // Audio of a reply that was stopped may still be on its way: it is dropped here.
  push(pcm) {
    if (this.#turnId !== null) this.#node.port.postMessage({ command: "push", pcm }, [pcm]);
  }

  pause(turnId) {
    if (turnId === this.#turnId) this.#tell({ command: "pause" });
  }

  resume(turnId) {
    if (turnId === this.#turnId) this.#tell({ command: "resume" });
  }

  end(turnId) {
    if (turnId === this.#turnId) this.#tell({ command: "end" });
  }

  stop(turnId) {
    if (turnId === this.#turnId) this.silence();
  }

  // Drops whatever there is to play.
  silence() {
    this.#turnId = null;
    this.#tell({ command: "stop" });
  }

  #tell(command) {
    this.#node.port.postMessage(command);
  }
}
