/** Lists the microphones and loudspeakers. */
import type { MicrophoneSettings } from "@ai-anchor/client";
import { useEffect, useState } from "preact/hooks";

/** The devices, kept current. Their labels appear once a microphone opens, that is when `microphoneSettings` changes. */
export function useDevices(microphoneSettings: MicrophoneSettings | null): readonly MediaDeviceInfo[] {
  const [devices, setDevices] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => {
    if (!("mediaDevices" in navigator)) return;
    let isMounted = true;
    const refresh = () => {
      void navigator.mediaDevices.enumerateDevices().then((found) => {
        if (isMounted) setDevices(found);
      });
    };
    refresh();
    navigator.mediaDevices.addEventListener("devicechange", refresh);
    return () => {
      isMounted = false;
      navigator.mediaDevices.removeEventListener("devicechange", refresh);
    };
  }, [microphoneSettings]);
  return devices;
}
