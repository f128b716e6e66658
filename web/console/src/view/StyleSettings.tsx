import type { Settings } from "../conversation_state";
import type { ConsoleStore } from "../store";

interface Dial {
  field: "pace" | "warmth" | "humour" | "energy";
  name: string;
  low: string;
  high: string;
  min: number;
  max: number;
  defaultValue: number;
}

const DIALS: readonly Dial[] = [
  { field: "pace", name: "Pace", low: "slow", high: "fast", min: 0.5, max: 2, defaultValue: 1 },
  { field: "warmth", name: "Warmth", low: "cool", high: "warm", min: 0, max: 1, defaultValue: 0.5 },
  { field: "humour", name: "Humour", low: "earnest", high: "playful", min: 0, max: 1, defaultValue: 0.5 },
  { field: "energy", name: "Energy", low: "calm", high: "lively", min: 0, max: 1, defaultValue: 0.5 },
];

/** Sliders for the manner of speaking and for patience. */
export function StyleSettings({ store, settings }: { store: ConsoleStore; settings: Settings | null }) {
  if (!settings) return null;
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
  /** Undefined for the default of the voice or persona. */
  value: number | undefined;
  onSlide: (value: number) => void;
}

function Slider({ name, low, high, min, max, defaultValue, value, onSlide }: SliderProps) {
  const label = value === undefined ? "default" : max > 1 ? `${value.toFixed(2)}×` : `${Math.round(value * 100)} %`;
  return (
    <label class="field">
      <span class="field-name">{name}</span>
      <span class="slider">
        <span class="slider-end">{low}</span>
        <input
          type="range"
          min={min}
          max={max}
          step={0.05}
          value={value ?? defaultValue}
          aria-label={name}
          aria-valuetext={label}
          onChange={(change) => {
            onSlide(change.currentTarget.valueAsNumber);
          }}
        />
        <span class="slider-end">{high}</span>
        <output class="slider-value">{label}</output>
      </span>
    </label>
  );
}
