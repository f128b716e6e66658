/**
 * The microphone's state machine. Pure: no device, socket, timer or DOM.
 *
 * Whether the track is on follows from three facts: what the page wants, whether there is a device, and the connection.
 * Whatever happens to a permission prompt, the socket, the tab, the server, the machine or the device is an event here.
 */

/**
 * What the track is. `off`: there is none. `starting`: the browser was asked for one, and may be asking the user.
 * `muted`: it is open, and gives silence, of which no frame leaves the page. `on`: what it hears leaves the page.
 */
export type MicrophoneState = "off" | "starting" | "muted" | "on";

/**
 * Why the track is off or muted. Empty when it is on or starting, or when the page closed it.
 *
 * - `released`: the talk button is up; the next press uses the track.
 * - `tapped`: the button was released before anything was sent; the user has to hold it.
 * - `reconnecting`: muted, because the session is not open; the track is on again as soon as it is.
 * - `system`: muted by the system: a switch of the device, a phone call, a privacy setting.
 * - `refused`: the browser or the user gave no device; the promise was rejected with the reason.
 * - `lost`: the device was unplugged, or the permission withdrawn.
 * - `slept`: the machine or the page was asleep.
 * - `hidden`: the page was left.
 * - `offline`: the session was not open for a minute.
 * - `ended`: the session was closed, refused, taken over or ended.
 */
export type MicrophoneReason =
  | ""
  | "released"
  | "tapped"
  | "reconnecting"
  | "system"
  | "refused"
  | "lost"
  | "slept"
  | "hidden"
  | "offline"
  | "ended";

export interface MicrophoneStatus {
  state: MicrophoneState;
  reason: MicrophoneReason;
}

export interface Machine {
  /**
   * What the page wants. With push-to-talk, `pressed` is a press too short to count, of which nothing is sent; `held`
   * one that counts; `releasing` the moment after it; `released` the time between two presses.
   */
  readonly wanted: "closed" | "open" | "pressed" | "held" | "releasing" | "released";
  readonly device: "none" | "opening" | "open";
  /** `buffering`: the connection was lost or asked for a moment ago, and what is heard is buffered. */
  readonly connection: "closed" | "down" | "buffering" | "open";
  readonly systemMuted: boolean;
  /** Whether the server has audio of a push-to-talk turn that it was not told the end of. */
  readonly turnOpen: boolean;
  /** Why the microphone closed, or the talk button's last press did not count. */
  readonly reason: MicrophoneReason;
  /** Number of the newest request for a device: the answer to an older one comes too late. */
  readonly request: number;
}

export const INITIAL_MACHINE: Machine = {
  wanted: "closed",
  device: "none",
  connection: "closed",
  systemMuted: false,
  turnOpen: false,
  reason: "",
  request: 0,
};

export type MachineEvent =
  /** From the page. `otherDevice`: the page asks for another device than the one in use. */
  | { kind: "opened" | "pressed"; otherDevice: boolean }
  | { kind: "released" | "closed" }
  /** From the device. */
  | { kind: "deviceOpened"; request: number; systemMuted: boolean }
  | { kind: "deviceRefused"; request: number }
  | { kind: "systemMuted"; muted: boolean }
  | { kind: "deviceLost" | "slept" | "pageHidden" }
  /** From the session. */
  | { kind: "connecting" | "connected" | "reconnecting" | "disconnected" }
  | { kind: Timer };

/**
 * What is to be done. `openDevice` is answered with the machine's `request`, and the answer is used or, when it comes too
 * late, discarded: its track stops. `closeDevice` stops the device, and withdraws a request for one. `sendHeldBack` sends
 * what was heard since the button was pressed; `dropAudio` drops it, and all audio that waits for a connection.
 */
export type Effect =
  "openDevice" | "useDevice" | "discardDevice" | "closeDevice" | "sendHeldBack" | "dropAudio" | "endTurn";

export interface Step {
  machine: Machine;
  effects: readonly Effect[];
}

/** A timer runs while its condition holds, and then is an event. */
export type Timer = "pressCounted" | "releaseOver" | "bufferFull" | "offlineTooLong";

export const TIMERS: Readonly<Record<Timer, { ms: number; runs: (machine: Machine) => boolean }>> = {
  // A shorter press is a click: shorter than any word.
  pressCounted: { ms: 250, runs: (machine) => machine.wanted === "pressed" && isOn(machine) },
  // Users release the button while their last sound is still on its way through the device.
  releaseOver: { ms: 250, runs: ({ wanted }) => wanted === "releasing" },
  // The session buffers two seconds.
  bufferFull: { ms: 2000, runs: ({ connection }) => connection === "buffering" },
  offlineTooLong: { ms: 60_000, runs: ({ device, connection }) => device !== "none" && connection !== "open" },
};

/** Whether the page and the connection let the track give sound. */
export function isEnabled({ wanted, device, connection }: Machine): boolean {
  const isWanted = wanted === "open" || wanted === "pressed" || wanted === "held" || wanted === "releasing";
  return isWanted && device === "open" && (connection === "open" || connection === "buffering");
}

/** Whether the track gives sound. */
export function isOn(machine: Machine): boolean {
  return isEnabled(machine) && !machine.systemMuted;
}

export function statusOf(machine: Machine): MicrophoneStatus {
  const { device, wanted, reason } = machine;
  if (device === "none") return { state: "off", reason };
  if (device === "opening") return { state: "starting", reason };
  if (isOn(machine)) return { state: "on", reason: "" };
  if (wanted === "released") return { state: "muted", reason: reason || "released" };
  return { state: "muted", reason: isEnabled(machine) ? "system" : "reconnecting" };
}

const CLOSING_REASONS = { slept: "slept", pageHidden: "hidden", offlineTooLong: "offline" } as const;

/** The machine after `event`, and what is to be done, in this order. */
export function step(machine: Machine, event: MachineEvent): Step {
  switch (event.kind) {
    case "opened":
    case "pressed":
      // Nobody would hear it.
      if (machine.connection === "closed") return { machine, effects: [] };
      if (event.kind === "pressed") return press(machine, event.otherDevice);
      return want({ ...machine, wanted: "open" }, event.otherDevice);
    case "released":
      return release(machine);
    case "closed":
      return shutDown(machine, "");
    case "deviceOpened":
      if (!isAwaited(machine, event.request)) return { machine, effects: ["discardDevice"] };
      return { machine: { ...machine, device: "open", systemMuted: event.systemMuted }, effects: ["useDevice"] };
    case "deviceRefused":
      if (!isAwaited(machine, event.request)) return { machine, effects: [] };
      return shutDown(machine, "refused");
    case "systemMuted":
      return { machine: { ...machine, systemMuted: event.muted }, effects: [] };
    case "deviceLost":
      return machine.device === "open" ? shutDown(machine, "lost") : { machine, effects: [] };
    case "slept":
    case "pageHidden":
    case "offlineTooLong":
      return machine.device === "none" ? { machine, effects: [] } : shutDown(machine, CLOSING_REASONS[event.kind]);
    case "connecting":
    case "connected":
    case "reconnecting":
    case "disconnected":
      return changeConnection(machine, event.kind);
    case "pressCounted":
      if (machine.wanted !== "pressed") return { machine, effects: [] };
      return {
        machine: { ...machine, wanted: "held", turnOpen: machine.turnOpen || machine.connection === "open" },
        effects: ["sendHeldBack"],
      };
    case "releaseOver":
      return machine.wanted === "releasing" ? settleTurn({ ...machine, wanted: "released" }) : { machine, effects: [] };
    case "bufferFull":
      // The track is muted; what was buffered is sent once there is a connection.
      if (machine.connection !== "buffering") return { machine, effects: [] };
      return { machine: { ...machine, connection: "down" }, effects: [] };
  }
}

function isAwaited({ device, request }: Machine, answered: number): boolean {
  return device === "opening" && answered === request;
}

/** Asks for a device, unless the right one is open or was asked for. */
function want(machine: Machine, otherDevice: boolean): Step {
  if (machine.device !== "none" && !otherDevice) return { machine: { ...machine, reason: "" }, effects: [] };
  const asked = { ...machine, reason: "", device: "opening", request: machine.request + 1 } as const;
  return { machine: asked, effects: machine.device === "none" ? ["openDevice"] : ["closeDevice", "openDevice"] };
}

function press(machine: Machine, otherDevice: boolean): Step {
  switch (machine.wanted) {
    case "open":
    case "pressed":
    case "held":
      // The track is on already.
      return { machine, effects: [] };
    case "releasing":
      // The turn goes on.
      return { machine: { ...machine, wanted: "held" }, effects: [] };
    case "closed":
    case "released":
      return want({ ...machine, wanted: "pressed" }, otherDevice);
  }
}

function release(machine: Machine): Step {
  switch (machine.wanted) {
    case "pressed":
      return { machine: { ...machine, wanted: "released", reason: "tapped" }, effects: ["dropAudio"] };
    case "held":
      if (machine.connection === "open" && isOn(machine)) {
        return { machine: { ...machine, wanted: "releasing" }, effects: [] };
      }
      return settleTurn({ ...machine, wanted: "released" }, ["dropAudio"]);
    case "closed":
    case "open":
    case "releasing":
    case "released":
      return { machine, effects: [] };
  }
}

function changeConnection(machine: Machine, kind: "connecting" | "connected" | "reconnecting" | "disconnected"): Step {
  switch (kind) {
    case "connecting":
      return {
        machine: { ...machine, connection: machine.connection === "closed" ? "buffering" : "down" },
        effects: [],
      };
    case "connected": {
      const connected = { ...machine, connection: "open" } as const;
      if (machine.wanted === "held") return { machine: { ...connected, turnOpen: true }, effects: [] };
      return settleTurn(connected);
    }
    case "reconnecting": {
      if (machine.connection !== "open") {
        const connection = machine.connection === "buffering" ? "buffering" : "down";
        return { machine: { ...machine, connection }, effects: [] };
      }
      const lost = { ...machine, connection: isOn(machine) ? "buffering" : "down" } as const;
      // What is left of a turn that is over cannot be sent any more.
      if (machine.wanted !== "releasing") return { machine: lost, effects: [] };
      return { machine: { ...lost, wanted: "released", connection: "down" }, effects: ["dropAudio"] };
    }
    case "disconnected": {
      const closed = { ...machine, connection: "closed", turnOpen: false } as const;
      return machine.device === "none" ? { machine: closed, effects: [] } : shutDown(closed, "ended");
    }
  }
}

/** Closes the device, or withdraws the request for it. Nothing that was heard and not sent is sent any more. */
function shutDown(machine: Machine, reason: MicrophoneReason): Step {
  const effects: Effect[] = machine.device === "none" ? ["dropAudio"] : ["closeDevice", "dropAudio"];
  // A buffer without a microphone holds nothing.
  const connection = machine.connection === "buffering" ? "down" : machine.connection;
  const closed = { ...machine, wanted: "closed", device: "none", systemMuted: false, connection, reason } as const;
  return settleTurn(closed, effects);
}

/** Tells the server that the push-to-talk turn has ended, now or once there is a connection. */
function settleTurn(machine: Machine, effects: readonly Effect[] = []): Step {
  if (!machine.turnOpen || machine.connection !== "open") return { machine, effects };
  return { machine: { ...machine, turnOpen: false }, effects: [...effects, "endTurn"] };
}
