import { type ComponentChild, render } from "preact";
import { afterEach } from "vitest";

/** Renders into the document's body until the end of the test. */
export function rendered(element: ComponentChild): HTMLElement {
  render(element, document.body);
  return document.body;
}

afterEach(() => {
  render(null, document.body);
});
