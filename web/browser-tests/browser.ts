/** Chromium with a recording as its microphone, and a page in it that may not misbehave. */
import { type BrowserContext, chromium, type Page } from "playwright-core";
import { afterEach, expect } from "vitest";
import { Line } from "./line";
import { installTaps, TAP_PATH } from "./taps";

export interface Surroundings {
  /** WAV that the microphone plays, once; Chromium's beeps when absent. */
  microphone?: string;
  /** Whether the person lets the page have the microphone. */
  allows?: boolean;
  /** Rate of the sound device, in hertz; the machine's own when absent. */
  deviceHz?: number;
  colorScheme?: "light" | "dark";
  viewport?: { width: number; height: number };
  /** What the console may say in this test, since the test makes it happen. */
  forgives?: RegExp;
  /** Name under which the page is asked for; 127.0.0.1 when absent. */
  host?: string;
  /** Where the page is, when it is not at the line's own end. */
  url?: string;
}

/** A page, and all that went wrong in it: errors on its console, refusals by its policy, requests to elsewhere. */
export interface Visit {
  page: Page;
  context: BrowserContext;
  line: Line;
  forgives: RegExp | null;
  wrongs: string[];
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
const PATIENCE_MS = 15_000;

const opened: { close: () => Promise<void> }[] = [];
const visits: Visit[] = [];

/** Opens the page that a port of this machine serves, as a person would who comes for the first time. */
export async function visit(port: number, surroundings: Surroundings = {}): Promise<Visit> {
  return visitOver(await Line.open(port), surroundings);
}

/** The same over a line that is there already, and goes when the test is over. */
export async function visitOver(line: Line, surroundings: Surroundings): Promise<Visit> {
  opened.push(line);
  const { microphone, allows = true, host } = surroundings;
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      ...ARGS,
      allows ? "--use-fake-ui-for-media-stream" : "--deny-permission-prompts",
      ...(microphone ? [`--use-file-for-fake-audio-capture=${microphone}%noloop`] : []),
      ...(host ? [`--host-resolver-rules=MAP ${host} 127.0.0.1`] : []),
    ],
  });
  opened.push(browser);
  const context = await browser.newContext({
    colorScheme: surroundings.colorScheme ?? "light",
    // The proxy's authority is its own.
    ignoreHTTPSErrors: true,
    viewport: surroundings.viewport ?? { width: 1440, height: 900 },
  });
  context.setDefaultTimeout(PATIENCE_MS);
  await context.addInitScript(installTaps, { path: TAP_PATH, deviceHz: surroundings.deviceHz ?? null });
  return openTab(context, line, surroundings);
}

/** Another tab of the same browser. */
export async function openTab(
  context: BrowserContext,
  line: Line,
  { host = "127.0.0.1", url = `http://${host}:${line.port}/`, forgives }: Surroundings = {},
): Promise<Visit> {
  const page = await context.newPage();
  const visit: Visit = { page, context, line, forgives: forgives ?? null, wrongs: [] };
  visits.push(visit);
  watch(visit, new URL(url).host);
  await page.goto(url);
  return visit;
}

function watch({ page, wrongs }: Visit, host: string): void {
  const elsewhere = (url: string): void => {
    const target = new URL(url);
    if (target.protocol !== "data:" && target.host !== host) wrongs.push(`a request left the origin: ${url}`);
  };
  page.on("request", (request) => {
    elsewhere(request.url());
  });
  page.on("websocket", (socket) => {
    elsewhere(socket.url());
  });
  page.on("pageerror", (error) => wrongs.push(`uncaught: ${error.message}`));
  // What the policy refuses stands on the console as an error, too.
  page.on("console", (message) => {
    if (message.type() === "error") wrongs.push(`on the console: ${message.text()}`);
  });
}

afterEach(async () => {
  const wrongs = visits
    .splice(0)
    .flatMap(({ wrongs, forgives }) => wrongs.filter((wrong) => !forgives || !forgives.test(wrong)));
  // A line goes after the browsers that lead over it.
  for (const one of opened.splice(0).reverse()) await one.close();
  expect(wrongs).toEqual([]);
});
