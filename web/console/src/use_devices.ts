/** The microphones and loudspeakers that there are. */
import type { MicrophoneTraits } from "@ai-anchor/client";
import { useEffect, useState } from "preact/hooks";

/** Kept up to date as devices come and go; `traits` tells when the names may have become known. */
export function useDevices(traits: MicrophoneTraits | null): readonly MediaDeviceInfo[] {
  const [devices, tell] = useState<readonly MediaDeviceInfo[]>([]);
  useEffect(() => {
    if (!("mediaDevices" in navigator)) return;
    let current = true;
    const look = () => {
      void navigator.mediaDevices.enumerateDevices().then((found) => {
        if (current) tell(found);
      });
    };
    look();
    navigator.mediaDevices.addEventListener("devicechange", look);
    return () => {
      current = false;
      navigator.mediaDevices.removeEventListener("devicechange", look);
    };
  }, [traits]);
  return devices;
}
