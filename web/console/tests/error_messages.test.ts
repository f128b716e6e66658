import { expect, test } from "vitest";
import {
  closeMessage,
  errorMessage,
  isOpenElsewhere,
  microphoneErrorMessage,
  reconnectingMessage,
} from "../src/error_messages";

test("an unavailable service is explained by its effect", () => {
  expect(errorMessage("tts.unavailable", "peer failed: tts")).toBe(
    "The voice is not available at the moment. Answers come as text.",
  );
});

test("a code without a text of its own shows the server's message", () => {
  expect(errorMessage("session.unknown_voice", "no voice x")).toBe("no voice x");
});

test("a rejected request is not reported as an unavailable service", () => {
  expect(errorMessage("tts.unknown_voice", "no voice x")).toBe("no voice x");
  expect(errorMessage("stt.language_unsupported", "English only")).toContain("does not understand");
});

test("a conversation open elsewhere is distinguished from one that has ended", () => {
  expect(isOpenElsewhere("session.already_open")).toBe(true);
  expect(isOpenElsewhere("session.taken_over")).toBe(true);
  expect(isOpenElsewhere("session.closed_by_client")).toBe(false);
  expect(closeMessage("session.already_open")).toContain("another tab");
  expect(isOpenElsewhere("session.moving")).toBe(false);
  expect(closeMessage("session.moving")).toContain("continues in a moment");
  expect(closeMessage("session.idle")).toBe("The session is over (session.idle).");
  expect(closeMessage("")).toBe("The session is over.");
});

test("a server that restarts is told from a lost connection", () => {
  expect(reconnectingMessage("session.moving")).toContain("restarting");
  expect(reconnectingMessage("")).toContain("was lost");
});

test("a microphone that fails to open is explained with a remedy", () => {
  const text = (name: string) => microphoneErrorMessage(new DOMException("x", name));
  expect(text("NotAllowedError")).toContain("Allow it");
  expect(text("NotFoundError")).toContain("Plug one in");
  expect(text("NotReadableError")).toContain("Another program");
  expect(microphoneErrorMessage(new TypeError("odd"))).toBe("The sound could not be started: odd");
});
