import { AdmissionState } from "@ai-anchor/client";
import { describe, expect, test } from "vitest";
import { admissionMessage } from "../src/admission";
import * as script from "./script";
import { play, playFrom, SPEAKING } from "./script";

const waiting = (position: number, expectedWaitS: number) =>
  script.admission({ state: AdmissionState.WAITING, position, expectedWaitS });
const admitted = script.admission({ state: AdmissionState.ADMITTED });

const text = (...messages: Parameters<typeof play>) => {
  const { admission } = play(...messages);
  return admission && admissionMessage(admission);
};

describe("admission", () => {
  test.each([
    [3, "number 1 in the queue; it takes about 5 seconds"],
    [43, "about 45 seconds"],
    [70, "about a minute"],
    [170, "about 3 minutes"],
  ])("tells who waits %d s how long it takes", (seconds, expected) => {
    expect(text(waiting(1, seconds))).toContain(expected);
  });

  test("follows the queue until it is the user's turn", () => {
    expect(text(waiting(3, 60), waiting(2, 40))).toContain("number 2");
    expect(text(waiting(1, 20), admitted)).toBe("It is your turn: please speak now.");
  });

  test("is over when the user is answered, reconnects, or is refused", () => {
    expect(playFrom(play(waiting(1, 20), admitted), ...SPEAKING).admission).toBeNull();
    expect(play(waiting(1, 20), script.sessionStarted(true)).admission).toBeNull();
    expect(play(waiting(1, 20), { case: "sessionEnded", value: { code: "x.y", message: "" } }).admission).toBeNull();
  });
});
