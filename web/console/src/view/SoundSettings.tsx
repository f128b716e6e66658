import { type MicrophoneSettings, Player } from "@ai-anchor/client";
import type { Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import { useDevices } from "../use_devices";
import { DeviceCheck } from "./DeviceCheck";
import { SelectField } from "./SelectField";

interface SoundSettingsProps {
  store: ConsoleStore;
  preferences: Preferences;
  microphoneSettings: MicrophoneSettings | null;
}

export function SoundSettings({ store, preferences, microphoneSettings }: SoundSettingsProps) {
  const devices = useDevices(microphoneSettings);
  if (store.soundSupport !== "ready") return null;
  const options = (kind: MediaDeviceKind) => [
    { value: "", name: "System default" },
    ...devices
      .filter((device) => device.kind === kind && device.label && device.deviceId !== "default")
      .map(({ deviceId, label }) => ({ value: deviceId, name: label })),
  ];
  const hasLabels = devices.some(({ label }) => label);
  return (
    <section class="settings" aria-label="Sound">
      <h3>Sound</h3>
      <SelectField
        name="Microphone"
        value={preferences.microphone}
        options={options("audioinput")}
        hint={hasLabels ? undefined : "Device names appear once you allow the microphone."}
        onChoose={(microphone) => void store.updatePreferences({ microphone })}
      />
      {Player.canSelectOutput && (
        <SelectField
          name="Loudspeaker"
          value={preferences.speaker}
          options={options("audiooutput")}
          onChoose={(speaker) => void store.updatePreferences({ speaker })}
        />
      )}
      {microphoneSettings && (
        <p class="hint">
          In use: {microphoneSettings.label || "a microphone"}, {microphoneSettings.sampleRateHz / 1000} kHz,{" "}
          {echoText(microphoneSettings)}.
        </p>
      )}
      <DeviceCheck store={store} preferences={preferences} />
    </section>
  );
}

function echoText({ echoCancellation }: MicrophoneSettings): string {
  if (echoCancellation === undefined) return "echo cancellation unknown";
  return echoCancellation ? "echo cancelled" : "echo not cancelled: use headphones";
}
