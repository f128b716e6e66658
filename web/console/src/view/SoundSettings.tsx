import { type MicrophoneTraits, Player } from "@ai-anchor/client";
import type { AnchorDesk } from "../desk";
import type { Preferences } from "../preferences";
import { useDevices } from "../use_devices";
import { Choice } from "./SettingsDialog";
import { SetupTest } from "./SetupTest";

interface SoundSettingsProps {
  desk: AnchorDesk;
  preferences: Preferences;
  traits: MicrophoneTraits | null;
}

export function SoundSettings({ desk, preferences, traits }: SoundSettingsProps) {
  const devices = useDevices(traits);
  if (desk.support !== "ready") return null;
  const options = (kind: MediaDeviceKind) => [
    { value: "", name: "The system’s choice" },
    ...devices
      .filter((device) => device.kind === kind && device.label && device.deviceId !== "default")
      .map(({ deviceId, label }) => ({ value: deviceId, name: label })),
  ];
  const named = devices.some(({ label }) => label);
  return (
    <section class="settings" aria-label="Sound">
      <h3>Sound</h3>
      <Choice
        name="Microphone"
        value={preferences.microphone}
        options={options("audioinput")}
        hint={named ? undefined : "The devices have names once the microphone was allowed."}
        onChoose={(microphone) => void desk.prefer({ microphone })}
      />
      {Player.choosable && (
        <Choice
          name="Loudspeaker"
          value={preferences.speaker}
          options={options("audiooutput")}
          onChoose={(speaker) => void desk.prefer({ speaker })}
        />
      )}
      {traits && (
        <p class="hint">
          In use: {traits.label || "a microphone"}, {traits.contextHz / 1000} kHz, {echo(traits)}.
        </p>
      )}
      <SetupTest desk={desk} preferences={preferences} />
    </section>
  );
}

function echo({ echoCancellation }: MicrophoneTraits): string {
  if (echoCancellation === undefined) return "echo cancellation not known";
  return echoCancellation ? "echo cancelled" : "echo not cancelled: use headphones";
}
