// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { DEFAULT_PREFERENCES } from "../src/preferences";
import { withKey } from "../src/shortcut_keys";
import type { ConsoleStore } from "../src/store";
import { useShortcuts } from "../src/use_shortcuts";
import * as script from "./script";
import { play } from "./script";
import { rendered } from "./view/rendered";

function pageWith(preferences: Partial<typeof DEFAULT_PREFERENCES>) {
  const done: string[] = [];
  const store = {
    soundSupport: "ready",
    state: {
      conversation: play(...script.SPEAKING),
      preferences: { ...DEFAULT_PREFERENCES, mode: "push", ...preferences },
    },
    handleUserGesture: () => undefined,
    pressTalk: () => Promise.resolve(done.push("press")),
    releaseTalk: () => Promise.resolve(done.push("release")),
    send: ({ case: name }: { case: string }) => done.push(name) > 0,
  };
  const Page = () => {
    useShortcuts(store as unknown as ConsoleStore, {
      openDialog: (dialog) => done.push(dialog),
      togglePanel: () => done.push("monitor"),
    });
    return <button data-talk>Talk</button>;
  };
  const draw = () => rendered(<Page />);
  draw();
  return { done, draw };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 20));
const key = (type: "keydown" | "keyup", pressed: string, code: string, target: EventTarget = window) =>
  target.dispatchEvent(new KeyboardEvent(type, { key: pressed, code, bubbles: true }));

test("a changed key talks while it is held, also when Shift is let go first and the page is drawn anew", async () => {
  const { done, draw } = pageWith({ keys: withKey(DEFAULT_PREFERENCES.keys, "talk", "?") });
  await settled();
  key("keydown", "?", "Minus");
  draw();
  await settled();
  key("keyup", "ß", "Minus");
  expect(done).toEqual(["press", "release"]);
});

test("keys that are switched off do nothing, but for Esc and for the space bar on the talk button", async () => {
  const { done } = pageWith({ shortcuts: false });
  await settled();
  for (const pressed of ["p", "s", "d", "?", " "]) key("keydown", pressed, "Any");
  expect(done).toEqual([]);
  key("keydown", "Escape", "Escape");
  const button = document.querySelector("[data-talk]");
  if (button) key("keydown", " ", "Space", button);
  key("keyup", " ", "Space");
  expect(done).toEqual(["interrupt", "press", "release"]);
});
