/** The console through Caddy with deploy/caddy/Caddyfile, as other devices reach it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { afterEach, expect, inject, test } from "vitest";
import { openPageThrough } from "./browser";
import { freePorts, PROJECT, RUN } from "./mesh";
import { NetworkLink } from "./network_link";
import { question, silence, writeMicrophone } from "./recordings";
import { TAP_PATH } from "./taps";
import { comparePlayback, waitForMessage, waitForPlayback } from "./tap_queries";

const CERTIFICATE_LOG = "certificate obtained successfully";
const caddyIsMissing = spawnSync("caddy", ["version"]).status !== 0;
const isSkipped = caddyIsMissing && !process.env["ANCHOR_REQUIRE_ALL"];

let caddy: ChildProcess | undefined;

afterEach(async () => {
  if (!caddy) return;
  caddy.kill("SIGTERM");
  if (caddy.exitCode === null) await once(caddy, "exit");
});

/** Starts Caddy for `site` in front of the port `upstream`. Returns Caddy's port. */
async function startCaddy(site: string, upstream: number): Promise<number> {
  return runCaddy(`${PROJECT}deploy/caddy/Caddyfile`, site, upstream, CERTIFICATE_LOG);
}

/** Starts Caddy without encryption, with the port `upstream` below the path `/anchor/`. Returns Caddy's port. */
async function startCaddyWithPrefix(upstream: number): Promise<number> {
  const config = `${RUN}prefix.caddyfile`;
  const site = "http://127.0.0.1:{$PROXY_PORT} {\n";
  const route = "handle_path /anchor/* {\nreverse_proxy {$ANCHOR_UPSTREAM} {\nflush_interval -1\n}\n}\n";
  // The test's own worklet is not the product's.
  const taps = `handle ${TAP_PATH} {\nreverse_proxy {$ANCHOR_UPSTREAM}\n}\n`;
  writeFileSync(config, `{\nadmin off\n}\n${site}${route}${taps}}\n`);
  return runCaddy(config, "unused", upstream, "serving initial configuration");
}

/** Starts Caddy and waits for a line of its log. Returns its port. */
async function runCaddy(config: string, site: string, upstream: number, readyLine: string): Promise<number> {
  const [port = 0] = await freePorts(1);
  const home = `${RUN}caddy`;
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const command = ["run", "--adapter", "caddyfile", "--config", config];
  const started = spawn("caddy", command, {
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      XDG_DATA_HOME: `${home}/data`,
      XDG_CONFIG_HOME: `${home}/config`,
      ANCHOR_SITE: site,
      PROXY_PORT: String(port),
      SHARED_SECRET: "unused: the orchestrator has none",
      ANCHOR_UPSTREAM: `127.0.0.1:${upstream}`,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  caddy = started;
  let log = "";
  started.stderr.on("data", (text) => (log += String(text)));
  await expect.poll(() => log, { timeout: 20_000 }).toContain(readyLine);
  return port;
}

test.skipIf(isSkipped)("a spoken turn works through the proxy, over https and another host name", async () => {
  const link = await NetworkLink.open(inject("meshPort"));
  const port = await startCaddy("anchor.test", link.port);
  const wav = writeMicrophone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await openPageThrough(link, {
    microphone: wav,
    host: "anchor.test",
    url: `https://anchor.test:${port}/`,
  });
  expect(await page.evaluate(() => window.isSecureContext)).toBe(true);
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await waitForMessage(page, "turn_committed");
  await waitForPlayback(page, 2);
  const { samples, difference, broken } = await comparePlayback(page);
  expect(samples).toBeGreaterThan(1.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  const headers = await page.evaluate(async () => Object.fromEntries((await fetch("/")).headers));
  expect(headers["content-security-policy"]).toMatch(/default-src 'none'; script-src 'self'/);
  expect(headers["strict-transport-security"]).toMatch(/max-age=\d+/);
});

test.skipIf(isSkipped)("the proxy sends no HSTS header on localhost, where other ports use http", async () => {
  const link = await NetworkLink.open(inject("meshPort"));
  const port = await startCaddy("localhost", link.port);
  const { page } = await openPageThrough(link, { url: `https://localhost:${port}/` });
  const headers = await page.evaluate(async () => Object.fromEntries((await fetch("/")).headers));
  expect(headers["content-security-policy"]).toMatch(/default-src 'none'/);
  expect(headers["strict-transport-security"]).toBeUndefined();
});

test.skipIf(isSkipped)("the console works below a path of a proxy", async () => {
  const link = await NetworkLink.open(inject("meshPort"));
  const port = await startCaddyWithPrefix(link.port);
  const { page } = await openPageThrough(link, { url: `http://127.0.0.1:${port}/anchor/` });
  await waitForMessage(page, "session_started");
  await page.getByRole("textbox", { name: "Write to the anchor" }).fill("How long does the ferry take?");
  await page.keyboard.press("Enter");
  await waitForPlayback(page, 1);
  const requests = await page.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name));
  const outside = requests.filter((url) => !url.includes("/anchor/") && !url.startsWith("data:"));
  expect(outside.filter((url) => !url.endsWith(TAP_PATH))).toEqual([]);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const listed = page.waitForResponse((response) => response.url().endsWith("/anchor/v1/audio/voices"));
  await page.getByRole("button", { name: "Clone a voice" }).click();
  expect((await listed).status()).toBe(200);
});
