/** The console through the door that other devices use: Caddy with deploy/caddy/Caddyfile, and its own authority. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { afterEach, expect, inject, test } from "vitest";
import { visitOver } from "./browser";
import { fidelity, soundsFor, until } from "./hearing";
import { Line } from "./line";
import { freePorts, PROJECT, RUN } from "./mesh";
import { microphone, question, silence } from "./recordings";

const OBTAINED = "certificate obtained successfully";
const missing = spawnSync("caddy", ["version"]).status !== 0;
const skipped = missing && !process.env["ANCHOR_REQUIRE_ALL"];

let caddy: ChildProcess | undefined;

afterEach(async () => {
  if (!caddy) return;
  caddy.kill("SIGTERM");
  if (caddy.exitCode === null) await once(caddy, "exit");
});

/** Starts the door before `upstream`, under `site`. Returns its port. */
async function door(site: string, upstream: number): Promise<number> {
  const [port = 0] = await freePorts(1);
  const home = `${RUN}caddy`;
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  const command = ["run", "--adapter", "caddyfile", "--config", `${PROJECT}deploy/caddy/Caddyfile`];
  const started = spawn("caddy", command, {
    env: {
      PATH: process.env["PATH"],
      HOME: home,
      XDG_DATA_HOME: `${home}/data`,
      XDG_CONFIG_HOME: `${home}/config`,
      ANCHOR_SITE: site,
      PROXY_PORT: String(port),
      SHARED_SECRET: "asked for by the orchestrator, were it told of one",
      ANCHOR_UPSTREAM: `127.0.0.1:${upstream}`,
    },
    stdio: ["ignore", "ignore", "pipe"],
  });
  caddy = started;
  let told = "";
  started.stderr.on("data", (text) => (told += String(text)));
  await expect.poll(() => told, { timeout: 20_000 }).toContain(OBTAINED);
  return port;
}

test.skipIf(skipped)("a spoken turn is heard through the proxy, over https and under another name", async () => {
  const line = await Line.open(inject("meshPort"));
  const port = await door("anchor.test", line.port);
  const wav = microphone("one-question", silence(1), question("demo"), silence(40));
  const { page } = await visitOver(line, {
    microphone: wav,
    host: "anchor.test",
    url: `https://anchor.test:${port}/`,
  });
  expect(await page.evaluate(() => window.isSecureContext)).toBe(true);
  await page.getByRole("button", { name: "Talk", exact: true }).click();
  await until(page, "turn_committed");
  await soundsFor(page, 2);
  const { samples, difference, broken } = await fidelity(page);
  expect(samples).toBeGreaterThan(1.5 * 24_000);
  expect(difference).toBeLessThan(0.0001);
  expect(broken).toBe(0);
  const headers = await page.evaluate(async () => Object.fromEntries((await fetch("/")).headers));
  expect(headers["content-security-policy"]).toMatch(/default-src 'none'; script-src 'self'/);
  expect(headers["strict-transport-security"]).toMatch(/max-age=\d+/);
});

test.skipIf(skipped)("the proxy binds no browser to https on localhost, where other doors speak http", async () => {
  const line = await Line.open(inject("meshPort"));
  const port = await door("localhost", line.port);
  const { page } = await visitOver(line, { url: `https://localhost:${port}/` });
  const headers = await page.evaluate(async () => Object.fromEntries((await fetch("/")).headers));
  expect(headers["content-security-policy"]).toMatch(/default-src 'none'/);
  expect(headers["strict-transport-security"]).toBeUndefined();
});
