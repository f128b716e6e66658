/** Opens pages in Chromium, with a recording as the microphone, and fails the test on any problem in the page. */
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterEach, expect } from "vitest";
import { NetworkLink } from "./network_link";
import { installTaps, TAP_PATH } from "./taps";

/** Whether to run the cases that differ from another one in size, colours or device only: `BROWSER=all`. */
export const EVERY_CASE = process.env["BROWSER"] === "all";

export interface PageOptions {
  /** WAV file that the microphone plays once; Chromium's beeps when absent. */
  microphone?: string;
  /** Whether the user grants the microphone permission; default true. */
  allowMicrophone?: boolean;
  /** Sample rate of the audio device, in hertz; the machine's own when absent. */
  deviceHz?: number;
  colorScheme?: "light" | "dark";
  viewport?: { width: number; height: number };
  /** Console errors that the test provokes, and that must not fail it. */
  allowedErrors?: RegExp;
  /** Host name in the page's URL; 127.0.0.1 when absent. */
  host?: string;
  /** URL of the page, when it is not served through the link directly. */
  url?: string;
}

/** A page and its problems: console errors, violations of its security policy, requests to other origins. */
export interface OpenedPage {
  page: Page;
  context: BrowserContext;
  link: NetworkLink;
  allowedErrors: RegExp | null;
  problems: string[];
}

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--use-fake-device-for-media-stream",
];

// A spoken question and the pause after it take five seconds.
const ACTION_TIMEOUT_MS = 15_000;

const closables: { close: () => Promise<void> }[] = [];
const openedPages: OpenedPage[] = [];

/** Opens the page at a port of this machine in a new browser. */
export async function openPage(port: number, options: PageOptions = {}): Promise<OpenedPage> {
  return openPageThrough(await NetworkLink.open(port), options);
}

/** The same through an open link, which is closed after the test. */
export async function openPageThrough(link: NetworkLink, options: PageOptions): Promise<OpenedPage> {
  closables.push(link);
  const { microphone, allowMicrophone = true, host } = options;
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      ...ARGS,
      allowMicrophone ? "--use-fake-ui-for-media-stream" : "--deny-permission-prompts",
      ...(microphone ? [`--use-file-for-fake-audio-capture=${microphone}%noloop`] : []),
      ...(host ? [`--host-resolver-rules=MAP ${host} 127.0.0.1`] : []),
    ],
  });
  closables.push(browser);
  const context = await browser.newContext({
    colorScheme: options.colorScheme ?? "light",
    // Caddy signs its certificate with its own authority.
    ignoreHTTPSErrors: true,
    viewport: options.viewport ?? { width: 1440, height: 900 },
  });
  context.setDefaultTimeout(ACTION_TIMEOUT_MS);
  await context.addInitScript(installTaps, { path: TAP_PATH, deviceHz: options.deviceHz ?? null });
  return openTab(context, link, options);
}

/** Opens another tab in the same browser. */
export async function openTab(
  context: BrowserContext,
  link: NetworkLink,
  { host = "127.0.0.1", url = `http://${host}:${link.port}/`, allowedErrors }: PageOptions = {},
): Promise<OpenedPage> {
  const page = await context.newPage();
  const opened: OpenedPage = { page, context, link, allowedErrors: allowedErrors ?? null, problems: [] };
  openedPages.push(opened);
  recordProblems(opened, new URL(url).host);
  await page.goto(url);
  return opened;
}

function recordProblems({ page, problems }: OpenedPage, host: string): void {
  const checkOrigin = (url: string): void => {
    const target = new URL(url);
    if (target.protocol !== "data:" && target.host !== host) problems.push(`a request left the origin: ${url}`);
  };
  page.on("request", (request) => {
    checkOrigin(request.url());
  });
  page.on("websocket", (socket) => {
    checkOrigin(socket.url());
  });
  page.on("pageerror", (error) => problems.push(`uncaught error: ${error.message}`));
  // Violations of the content security policy are console errors, too.
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`console error: ${message.text()}`);
  });
}

afterEach(async () => {
  const problems = openedPages
    .splice(0)
    .flatMap(({ problems, allowedErrors }) => problems.filter((problem) => !allowedErrors?.test(problem)));
  // Browsers close before the links they use.
  for (const closable of closables.splice(0).reverse()) await closable.close();
  expect(problems).toEqual([]);
});
