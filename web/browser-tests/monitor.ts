/** The console's monitor. */
import type { Page } from "playwright-core";

/** Opens the monitor if it is closed. */
export async function openMonitor(page: Page): Promise<void> {
  const button = page.getByRole("button", { name: "Monitor", exact: true });
  if ((await button.getAttribute("aria-expanded")) !== "true") await button.click();
  await page.getByRole("complementary", { name: "Monitor" }).waitFor();
}
