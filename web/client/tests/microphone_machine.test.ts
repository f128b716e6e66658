import { describe, expect, test } from "vitest";
import {
  type Effect,
  INITIAL_MACHINE,
  isOn,
  type Machine,
  type MachineEvent,
  statusOf,
  step,
  TIMERS,
} from "../src/microphone_machine";

const NOT_ASKED = 99;

/** Every event; `current` is the request that the machine waits for. */
const EVENTS: Readonly<Record<string, (machine: Machine) => MachineEvent>> = {
  opened: () => ({ kind: "opened", otherDevice: false }),
  openedOther: () => ({ kind: "opened", otherDevice: true }),
  pressed: () => ({ kind: "pressed", otherDevice: false }),
  released: () => ({ kind: "released" }),
  closed: () => ({ kind: "closed" }),
  deviceOpened: ({ request }) => ({ kind: "deviceOpened", request, systemMuted: false }),
  deviceLate: () => ({ kind: "deviceOpened", request: NOT_ASKED, systemMuted: false }),
  deviceRefused: ({ request }) => ({ kind: "deviceRefused", request }),
  refusedLate: () => ({ kind: "deviceRefused", request: NOT_ASKED }),
  systemMuted: () => ({ kind: "systemMuted", muted: true }),
  systemUnmuted: () => ({ kind: "systemMuted", muted: false }),
  deviceLost: () => ({ kind: "deviceLost" }),
  slept: () => ({ kind: "slept" }),
  pageHidden: () => ({ kind: "pageHidden" }),
  connecting: () => ({ kind: "connecting" }),
  connected: () => ({ kind: "connected" }),
  reconnecting: () => ({ kind: "reconnecting" }),
  disconnected: () => ({ kind: "disconnected" }),
  pressCounted: () => ({ kind: "pressCounted" }),
  releaseOver: () => ({ kind: "releaseOver" }),
  bufferFull: () => ({ kind: "bufferFull" }),
  offlineTooLong: () => ({ kind: "offlineTooLong" }),
};

interface Played {
  machine: Machine;
  effects: Effect[];
}

/** The machine after a script of event names, and what was to be done on the way. */
function play(script: string, from: Machine = INITIAL_MACHINE): Played {
  return script.split(" ").reduce<Played>(
    ({ machine, effects }, name) => {
      const event = EVENTS[name];
      if (!event) throw new Error(`no event ${name}`);
      const next = step(machine, event(machine));
      return { machine: next.machine, effects: [...effects, ...next.effects] };
    },
    { machine: from, effects: [] },
  );
}

const show = (machine: Machine): string => {
  const { state, reason } = statusOf(machine);
  return reason ? `${state}:${reason}` : state;
};

/** How each state of the table is reached. */
const STATES: Readonly<Record<string, string>> = {
  closed: "connecting connected",
  asked: "connecting connected opened",
  askedPress: "connecting connected pressed",
  askedTap: "connecting connected pressed released",
  open: "connecting connected opened deviceOpened",
  pressed: "connecting connected pressed deviceOpened",
  held: "connecting connected pressed deviceOpened pressCounted",
  releasing: "connecting connected pressed deviceOpened pressCounted released",
  released: "connecting connected pressed deviceOpened pressCounted released releaseOver",
  tapped: "connecting connected pressed deviceOpened released",
  buffering: "connecting connected opened deviceOpened reconnecting",
  down: "connecting connected opened deviceOpened reconnecting bufferFull",
  heldDown: "connecting connected pressed deviceOpened pressCounted reconnecting bufferFull",
  system: "connecting connected opened deviceOpened systemMuted",
  over: "connecting connected opened deviceOpened disconnected",
};

// What the track is before any event, and after each. A dot: as before.
const TABLE = `
               closed   asked       askedPress      askedTap        open        pressed      held         releasing      released     tapped       buffering    down         heldDown       system      over
before         off      starting    starting        starting:tapped on          on           on           on             muted:released muted:tapped on         muted:reconnecting muted:reconnecting muted:system off:ended
opened         starting .           .               starting        .           .            .            .              on           on           .            .            .              .           .
openedOther    starting .           .               starting        starting    starting     starting     starting       starting     starting     starting     starting     starting       starting    .
pressed        starting .           .               starting        .           .            .            .              on           on           .            .            .              .           .
released       .        .           starting:tapped .               .           muted:tapped .            .              .            .            .            .            muted:released .           .
closed         .        off         off             off             off         off          off          off            off          off          off          off          off            off         off
deviceOpened   .        on          on              muted:tapped    .           .            .            .              .            .            .            .            .              .           .
deviceLate     .        .           .               .               .           .            .            .              .            .            .            .            .              .           .
deviceRefused  .        off:refused off:refused     off:refused     .           .            .            .              .            .            .            .            .              .           .
refusedLate    .        .           .               .               .           .            .            .              .            .            .            .            .              .           .
systemMuted    .        .           .               .               muted:system muted:system muted:system muted:system  .            .            muted:system .            .              .           .
systemUnmuted  .        .           .               .               .           .            .            .              .            .            .            .            .              on          .
deviceLost     .        .           .               .               off:lost    off:lost     off:lost     off:lost       off:lost     off:lost     off:lost     off:lost     off:lost       off:lost    .
slept          .        off:slept   off:slept       off:slept       off:slept   off:slept    off:slept    off:slept      off:slept    off:slept    off:slept    off:slept    off:slept      off:slept   .
pageHidden     .        off:hidden  off:hidden      off:hidden      off:hidden  off:hidden   off:hidden   off:hidden     off:hidden   off:hidden   off:hidden   off:hidden   off:hidden     off:hidden  .
connecting     .        .           .               .               muted:reconnecting muted:reconnecting muted:reconnecting muted:reconnecting . .            muted:reconnecting .     .              muted:reconnecting .
connected      .        .           .               .               .           .            .            .              .            .            .            on           on             .           .
reconnecting   .        .           .               .               .           .            .            muted:released .            .            .            .            .              muted:reconnecting .
disconnected   .        off:ended   off:ended       off:ended       off:ended   off:ended    off:ended    off:ended      off:ended    off:ended    off:ended    off:ended    off:ended      off:ended   .
pressCounted   .        .           .               .               .           .            .            .              .            .            .            .            .              .           .
releaseOver    .        .           .               .               .           .            .            muted:released .            .            .            .            .              .           .
bufferFull     .        .           .               .               .           .            .            .              .            .            muted:reconnecting .      .              .           .
offlineTooLong .        off:offline off:offline     off:offline     off:offline off:offline  off:offline  off:offline    off:offline  off:offline  off:offline  off:offline  off:offline    off:offline .
`;

const [header = [], before = [], ...rows] = TABLE.trim()
  .split("\n")
  .map((line) => line.trim().split(/\s+/));
const cells = rows.flatMap(([event = "", ...results]) =>
  results.map((result, column) => {
    const was = before[column + 1] ?? "";
    return { state: header[column] ?? "", event, was, becomes: result === "." ? was : result };
  }),
);

test("the table has every state and every event", () => {
  expect(header).toEqual(Object.keys(STATES));
  expect(rows.map(([event]) => event)).toEqual(Object.keys(EVENTS));
  expect(cells).toHaveLength(header.length * Object.keys(EVENTS).length);
});

test.each(cells)("$state, $event: $was → $becomes", ({ state, event, was, becomes }) => {
  const { machine } = play(STATES[state] ?? "");
  expect(show(machine)).toBe(was);
  expect(show(play(event, machine).machine)).toBe(becomes);
});

/** Every machine that any order of events reaches, with the events that lead on from it. Requests are counted to two. */
function reachable(): Machine[] {
  const seen = new Map<string, Machine>();
  const open = [INITIAL_MACHINE];
  for (let machine = open.pop(); machine; machine = open.pop()) {
    const key = JSON.stringify(machine);
    if (seen.has(key)) continue;
    seen.set(key, machine);
    for (const event of Object.values(EVENTS)) {
      const next = step(machine, event(machine)).machine;
      open.push({ ...next, request: Math.min(next.request, 2) });
    }
  }
  return [...seen.values()];
}

describe("in every order of events", () => {
  const machines = reachable();
  const transitions = machines.flatMap((machine) =>
    Object.entries(EVENTS).map(([name, event]) => ({ name, before: machine, ...step(machine, event(machine)) })),
  );

  test("there are hundreds of states", () => {
    expect(machines.length).toBeGreaterThan(100);
  });

  test("no device is open that nobody wants, and none is wanted that was not asked for", () => {
    for (const { wanted, device } of machines) expect(wanted === "closed").toBe(device === "none");
  });

  test("a closed session, page, machine or device leaves no track, and nothing to send", () => {
    const closing = ["closed", "disconnected", "slept", "pageHidden", "deviceLost", "offlineTooLong"];
    const ended = transitions.filter(({ name, before }) => closing.includes(name) && before.device === "open");
    expect(ended.length).toBeGreaterThan(100);
    for (const { machine, effects } of ended) {
      expect(statusOf(machine).state).toBe("off");
      expect(effects.slice(0, 2)).toEqual(["closeDevice", "dropAudio"]);
    }
  });

  test("a request that was withdrawn is told the browser, and its answer is discarded", () => {
    const withdrawn = transitions.filter(({ name, before }) => name === "closed" && before.device === "opening");
    for (const { machine, effects } of withdrawn) {
      expect(effects).toContain("closeDevice");
      expect(play("deviceOpened", machine).effects).toEqual(["discardDevice"]);
    }
  });

  test("only the page, a device it asked for, a connection or the system turn the track on", () => {
    const turnedOn = transitions.filter(({ before, machine }) => !isOn(before) && isOn(machine));
    const names = new Set(turnedOn.map(({ name }) => name));
    expect([...names].sort()).toEqual(["connected", "deviceOpened", "opened", "pressed", "systemUnmuted"]);
    for (const { name, before } of turnedOn) {
      if (name === "opened" || name === "pressed") continue;
      expect(["open", "pressed", "held", "releasing"]).toContain(before.wanted);
    }
  });

  test("a released button mutes the track, at once or with its last sound", () => {
    for (const { name, machine } of transitions) {
      if (name !== "released" || machine.wanted === "open") continue;
      if (isOn(machine)) expect(TIMERS.releaseOver.runs(machine)).toBe(true);
      expect(isOn(play("releaseOver", machine).machine)).toBe(false);
    }
  });

  test("the track is never on without a connection for longer than the buffer", () => {
    for (const machine of machines.filter((each) => isOn(each) && each.connection !== "open")) {
      expect(TIMERS.bufferFull.runs(machine)).toBe(true);
      expect(isOn(play("bufferFull", machine).machine)).toBe(false);
    }
  });

  test("no push-to-talk turn stays open once its button is up and there is a connection", () => {
    for (const { turnOpen, connection, wanted } of machines) {
      if (turnOpen && connection === "open") expect(["held", "releasing", "open"]).toContain(wanted);
    }
  });

  test("a turn that the server has no audio of is not ended", () => {
    for (const { before, effects } of transitions) if (effects.includes("endTurn")) expect(before.turnOpen).toBe(true);
  });
});

describe("push-to-talk", () => {
  const READY = "connecting connected ";

  test("holds back a press until it counts, and ends the turn after the last sound", () => {
    const { effects } = play(`${READY}pressed deviceOpened pressCounted released releaseOver`);
    expect(effects).toEqual(["openDevice", "useDevice", "sendHeldBack", "endTurn"]);
  });

  test("sends and ends nothing for a tap", () => {
    const { machine, effects } = play(`${READY}pressed deviceOpened released`);
    expect(effects).toEqual(["openDevice", "useDevice", "dropAudio"]);
    expect(play("pressCounted releaseOver", machine).effects).toEqual([]);
  });

  test("sends and ends nothing when the button is up before the permission is given", () => {
    const { machine, effects } = play(`${READY}pressed released deviceOpened`);
    expect(effects).toEqual(["openDevice", "dropAudio", "useDevice"]);
    expect(show(machine)).toBe("muted:tapped");
    expect(Object.values(TIMERS).filter(({ runs }) => runs(machine))).toEqual([]);
  });

  test("goes on with the turn when the button is pressed again during the last sound", () => {
    const { effects } = play(`${READY}pressed deviceOpened pressCounted released pressed releaseOver`);
    expect(effects).not.toContain("endTurn");
  });

  test("drops what was heard after the connection was lost when the button is up, and ends the turn later", () => {
    const { machine, effects } = play(`${READY}pressed deviceOpened pressCounted reconnecting released`);
    expect(effects.at(-1)).toBe("dropAudio");
    expect(play("connected", machine).effects).toEqual(["endTurn"]);
  });

  test("goes on with the turn over a break in which the button is held", () => {
    const { machine, effects } = play(`${READY}pressed deviceOpened pressCounted reconnecting connected`);
    expect(effects).toEqual(["openDevice", "useDevice", "sendHeldBack"]);
    expect(play("released releaseOver", machine).effects).toEqual(["endTurn"]);
  });

  test("ends the turn when the device goes in the middle of it", () => {
    expect(play(`${READY}pressed deviceOpened pressCounted deviceLost`).effects.at(-1)).toBe("endTurn");
  });
});

test("a device that the system has muted is muted from the start", () => {
  const { machine } = play("connecting connected opened");
  const opened = step(machine, { kind: "deviceOpened", request: machine.request, systemMuted: true }).machine;
  expect(show(opened)).toBe("muted:system");
});

test("before the first connection, the microphone is buffered for a moment, and then waits muted", () => {
  expect(show(play("connecting opened deviceOpened").machine)).toBe("on");
  expect(show(play("connecting opened deviceOpened bufferFull").machine)).toBe("muted:reconnecting");
  expect(show(play("connecting bufferFull opened deviceOpened").machine)).toBe("muted:reconnecting");
  expect(show(play("connecting opened deviceOpened connected").machine)).toBe("on");
  expect(show(play("opened").machine)).toBe("off");
});
