import type { Conversation } from "../conversation_state";
import { type Dial, DIALS, isDefault, mannerLine } from "../manner";
import type { ConsoleStore } from "../store";
import { speakingVoice } from "../talk_choices";

/** Sliders for the manner of speaking and for patience, each with a way back. */
export function StyleSettings({ store, conversation }: { store: ConsoleStore; conversation: Conversation }) {
  const { settings, services } = conversation;
  if (!settings) return null;
  const manner = mannerLine(speakingVoice(conversation), services);
  return (
    <>
      {DIALS.map((dial) => (
        <Slider
          key={dial.field}
          {...dial}
          value={settings.style?.[dial.field]}
          onSlide={(value) => store.send({ case: "setStyle", value: { [dial.field]: value } })}
        />
      ))}
      {manner && <p class="hint manner">{manner}</p>}
      <Slider
        name="Patience"
        low="brisk"
        high="patient"
        min={0.5}
        max={2}
        defaultValue={1}
        value={settings.patience || 1}
        onSlide={(patience) => {
          void store.updatePreferences({ patience });
          store.send({ case: "setPatience", value: { patience } });
        }}
      />
    </>
  );
}

interface SliderProps extends Omit<Dial, "field"> {
  /** Undefined while it was never moved. */
  value: number | undefined;
  onSlide: (value: number) => void;
}

function Slider({ name, low, high, min, max, defaultValue, value = defaultValue, onSlide }: SliderProps) {
  const isUnmoved = isDefault(value, defaultValue);
  const label = isUnmoved ? "default" : max > 1 ? `${value.toFixed(2)}×` : `${Math.round(value * 100)} %`;
  return (
    <div class="field">
      <span class="field-name">{name}</span>
      <span class="slider">
        <span class="slider-end">{low}</span>
        <input
          type="range"
          min={min}
          max={max}
          step={0.05}
          value={value}
          aria-label={name}
          aria-valuetext={label}
          onChange={(change) => {
            onSlide(change.currentTarget.valueAsNumber);
          }}
        />
        <span class="slider-end">{high}</span>
        <output class="slider-value">{label}</output>
        <button
          class="button slider-reset"
          type="button"
          aria-label={`Reset ${name}`}
          disabled={isUnmoved}
          onClick={() => {
            onSlide(defaultValue);
          }}
        >
          Reset
        </button>
      </span>
    </div>
  );
}
