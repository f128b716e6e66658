import type { CaptionContrast, CaptionSize, Preferences } from "../preferences";
import type { ConsoleStore } from "../store";
import { SelectField } from "./SelectField";

const SIZES: readonly { value: CaptionSize; name: string }[] = [
  { value: "normal", name: "Normal" },
  { value: "large", name: "Large" },
  { value: "largest", name: "Largest" },
];
const CONTRASTS: readonly { value: CaptionContrast; name: string }[] = [
  { value: "normal", name: "Normal" },
  { value: "high", name: "High" },
];

/** Size and contrast of the captions. */
export function CaptionSettings({ store, preferences }: { store: ConsoleStore; preferences: Preferences }) {
  return (
    <section class="settings" aria-label="Captions">
      <h3>Captions</h3>
      <SelectField
        name="Size of the captions"
        value={preferences.captionSize}
        options={SIZES}
        onChoose={(captionSize) => void store.updatePreferences({ captionSize: captionSize as CaptionSize })}
      />
      <SelectField
        name="Contrast of the captions"
        value={preferences.captionContrast}
        options={CONTRASTS}
        onChoose={(contrast) => void store.updatePreferences({ captionContrast: contrast as CaptionContrast })}
      />
    </section>
  );
}
