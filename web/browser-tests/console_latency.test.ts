/** The monitor's figures: at the first sound, with the reason of the wait, and of the newest answer only. */
import type { Page } from "playwright-core";
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { openMonitor } from "./monitor";
import { question, silence, writeMicrophone } from "./recordings";
import { receivedMessages, waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");

const lastFigure = (page: Page): Promise<string | null> =>
  page.getByRole("region", { name: "Latency" }).locator(".figures dd").first().textContent();

test("figures appear at the first sound, with the reason of the wait, and never stand for the next turn", async () => {
  const wav = writeMicrophone("figures", silence(1), question("demo"), silence(40));
  const { page } = await openPage(port, { microphone: wav });
  await openMonitor(page);
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 1);
  // The reply lasts for many seconds more.
  await expect.poll(() => lastFigure(page), { timeout: 2000 }).toMatch(/^\d/);
  expect(await receivedMessages(page, "reply_finished")).toEqual([]);
  const latency = page.getByRole("region", { name: "Latency" });
  expect(await latency.locator(".wait-text").textContent()).toMatch(/waited|wait$/);
  expect(await latency.locator(".wait-reason").textContent()).toMatch(/^Waited .* in silence: /);
  await page.getByRole("button", { name: "Stop", exact: true }).click();
  await waitForMessage(page, "reply_finished");
  // From the commit of the next turn to its first sound, "Last" is empty.
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seenFigures: seen });
    const figure = document.querySelector(".figures dd");
    if (!figure) throw new Error("the monitor is closed");
    const changes = { characterData: true, childList: true, subtree: true };
    new MutationObserver(() => seen.push(figure.textContent)).observe(figure, changes);
  });
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill("How long does the ferry take?");
  await page.keyboard.press("Enter");
  await waitForMessage(page, "latency_waterfall", 3);
  const seen = await page.evaluate(() => (window as unknown as { seenFigures: string[] }).seenFigures);
  expect(seen[0]).toBe("–");
  expect(seen.at(-1)).toMatch(/^\d/);
});
