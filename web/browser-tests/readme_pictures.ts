/** Takes the README's pictures of the console, in spoken conversations with a real mesh: `npm run pictures`. */
import { expect, inject, test } from "vitest";
import { openPage } from "./browser";
import { PROJECT } from "./mesh";
import { openMonitor } from "./monitor";
import { question, silence, writeMicrophone } from "./recordings";
import { interruptedReply, waitForMessage, waitForPlayback } from "./tap_queries";

const port = inject("meshPort");
const IMAGES = `${PROJECT}docs/images/`;

test("a reply after a barge-in, on a desktop", async () => {
  const microphone = writeMicrophone(
    "picture-desktop",
    silence(1),
    question("compost"),
    silence(7),
    question("studio"),
    silence(60),
  );
  const { page } = await openPage(port, { microphone });
  await openMonitor(page);
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await expect.poll(() => interruptedReply(page)).not.toBeNull();
  const heard = page.locator(".turn").last().locator(".heard");
  await expect.poll(async () => (await heard.textContent())?.length ?? 0).toBeGreaterThan(60);
  await page.screenshot({ path: `${IMAGES}console-desktop.png` });
});

test("a reply on a phone, in dark colours", async () => {
  const microphone = writeMicrophone("picture-phone", silence(1), question("roses"), silence(60));
  const { page } = await openPage(port, {
    microphone,
    colorScheme: "dark",
    viewport: { width: 390, height: 844 },
  });
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 5);
  await page.screenshot({ path: `${IMAGES}console-phone.png` });
});
