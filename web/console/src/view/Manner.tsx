import type { AnchorDesk } from "../desk";
import type { Settings } from "../state";

interface Dial {
  field: "pace" | "warmth" | "humour" | "energy";
  name: string;
  low: string;
  high: string;
  min: number;
  max: number;
  usual: number;
}

const DIALS: readonly Dial[] = [
  { field: "pace", name: "Pace", low: "slow", high: "fast", min: 0.5, max: 2, usual: 1 },
  { field: "warmth", name: "Warmth", low: "cool", high: "warm", min: 0, max: 1, usual: 0.5 },
  { field: "humour", name: "Humour", low: "earnest", high: "playful", min: 0, max: 1, usual: 0.5 },
  { field: "energy", name: "Energy", low: "calm", high: "lively", min: 0, max: 1, usual: 0.5 },
];

/** How the anchor speaks and how long it waits. */
export function Manner({ desk, settings }: { desk: AnchorDesk; settings: Settings | null }) {
  if (!settings) return null;
  return (
    <>
      {DIALS.map((dial) => (
        <Slider
          key={dial.field}
          {...dial}
          value={settings.style?.[dial.field]}
          onSlide={(value) => desk.send({ case: "setStyle", value: { [dial.field]: value } })}
        />
      ))}
      <Slider
        name="Patience"
        low="brisk"
        high="patient"
        min={0.5}
        max={2}
        usual={1}
        value={settings.patience || 1}
        onSlide={(patience) => {
          void desk.prefer({ patience });
          desk.send({ case: "setPatience", value: { patience } });
        }}
      />
    </>
  );
}

interface SliderProps extends Omit<Dial, "field"> {
  /** Undefined where the voice's or the persona's own holds. */
  value: number | undefined;
  onSlide: (value: number) => void;
}

function Slider({ name, low, high, min, max, usual, value, onSlide }: SliderProps) {
  const told = value === undefined ? "as it comes" : max > 1 ? `${value.toFixed(2)}×` : `${Math.round(value * 100)} %`;
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
          value={value ?? usual}
          aria-label={name}
          aria-valuetext={told}
          onChange={(change) => {
            onSlide(change.currentTarget.valueAsNumber);
          }}
        />
        <span class="slider-end">{high}</span>
        <output class="slider-value">{told}</output>
      </span>
    </label>
  );
}
