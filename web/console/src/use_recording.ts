/** The recording of both sides of the conversation: starts and stops it, and keeps the last one for download. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Recorder, Recording } from "./recorder";
import type { ConsoleStore } from "./store";

export interface RecordingControl {
  isRunning: boolean;
  /** Length so far, in milliseconds, to the second. */
  lengthMs: number;
  last: Recording | null;
  /** Why it failed; empty when it did not. */
  failure: string;
  start: () => Promise<void>;
  stop: () => Promise<void>;
}

const TICK_MS = 1000;
const NO_ROOM = "The recording could not be written: this browser gives the page no room on the disk.";

/** Whether this browser can record. */
export function canRecord(): boolean {
  const { storage } = navigator as { storage?: Partial<StorageManager> };
  return typeof storage?.getDirectory === "function" && "createWritable" in FileSystemFileHandle.prototype;
}

export function useRecording(store: Pick<ConsoleStore, "record">): RecordingControl {
  const recorder = useRef<Recorder | null>(null);
  const isStarting = useRef(false);
  const [lengthMs, setLengthMs] = useState<number | null>(null);
  const [last, setLast] = useState<Recording | null>(null);
  const [failure, setFailure] = useState("");

  const stop = async (): Promise<void> => {
    const running = recorder.current;
    if (!running) return;
    recorder.current = null;
    store.record(null);
    setLengthMs(null);
    try {
      setLast(await running.stop());
    } catch {
      setFailure(NO_ROOM);
    }
  };
  const start = async (): Promise<void> => {
    if (recorder.current || isStarting.current) return;
    isStarting.current = true;
    setFailure("");
    setLast(null);
    try {
      const { Recorder } = await import("./recorder");
      recorder.current = await Recorder.start(() => void stop());
      store.record(recorder.current);
      setLengthMs(0);
    } catch {
      setFailure(NO_ROOM);
    } finally {
      isStarting.current = false;
    }
  };

  const isRunning = lengthMs !== null;
  useEffect(() => {
    if (!isRunning) return undefined;
    const tick = async (): Promise<void> => {
      const { LONGEST_RECORDING_MS } = await import("./recorder");
      const running = recorder.current;
      if (running && running.lengthMs >= LONGEST_RECORDING_MS) await stop();
      else if (running) setLengthMs(running.lengthMs);
    };
    const timer = setInterval(() => void tick(), TICK_MS);
    // What is not finished is lost with the page.
    const warn = (event: BeforeUnloadEvent) => {
      event.preventDefault();
    };
    window.addEventListener("beforeunload", warn);
    return () => {
      clearInterval(timer);
      window.removeEventListener("beforeunload", warn);
    };
  }, [isRunning]);
  return { isRunning, lengthMs: lengthMs ?? 0, last, failure, start, stop };
}
