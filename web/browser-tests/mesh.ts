/** Global setup: a mesh of real processes on free ports, and the client library's example page in front of it. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, mkdirSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build, preview } from "vite";
import type { TestProject } from "vitest/node";

export const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
export const RUN = `${PROJECT}run/browser-tests/`;
const START_TIMEOUT_MS = 120_000;
const PORT_VARIABLES = ["VAD", "STT", "TTS", "GPU", "ORCHESTRATOR"].flatMap((name) => [
  `${name}_GRPC_PORT`,
  `${name}_HTTP_PORT`,
]);

declare module "vitest" {
  interface ProvidedContext {
    /** Port of the console and its WebSocket, on 127.0.0.1. */
    meshPort: number;
    /** Port of the client library's example page, on 127.0.0.1. */
    examplePort: number;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  mkdirSync(RUN, { recursive: true });
  const ports = await freePorts(PORT_VARIABLES.length);
  const environment = Object.fromEntries(PORT_VARIABLES.map((variable, index) => [variable, String(ports[index])]));
  const launcher = spawn(`${PROJECT}.venv/bin/python`, ["-m", "anchor_cli", "up", "--no-self-test"], {
    cwd: PROJECT,
    env: {
      ...process.env,
      ...environment,
      ANCHOR_RUN_DIR: `${RUN}mesh`,
      ANCHOR_DRAIN_S: "2",
      ORCHESTRATOR_WEB_DIR: `${PROJECT}web/dist`,
      // Every test leaves a session, which occupies one of the recogniser's four streams until it expires.
      ORCHESTRATOR_RESUME_S: "6",
      ORCHESTRATOR_HOSTS: '["anchor.test"]',
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const logFile = createWriteStream(`${RUN}launcher.txt`);
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream.pipe(logFile);
    stream.on("data", (text) => (output += String(text)));
  }
  try {
    await waitUntilServing(launcher, () => output);
    const meshPort = Number(environment["ORCHESTRATOR_HTTP_PORT"]);
    project.provide("meshPort", meshPort);
    process.env["ANCHOR_URL"] = `http://127.0.0.1:${meshPort}`;
    const example = { root: `${PROJECT}web/client/example`, logLevel: "warn" } as const;
    await build(example);
    const server = await preview({ ...example, preview: { host: "127.0.0.1", port: 0 } });
    project.provide("examplePort", (server.httpServer.address() as AddressInfo).port);
    return async () => {
      await server.close();
      await stop(launcher);
    };
  } catch (error) {
    await stop(launcher);
    throw error;
  }
}

async function waitUntilServing(launcher: ChildProcess, output: () => string): Promise<void> {
  const end = Date.now() + START_TIMEOUT_MS;
  while (!output().includes("serving at")) {
    if (launcher.exitCode !== null || Date.now() > end) throw new Error(`the mesh did not start:\n${output()}`);
    await sleep(100);
  }
}

async function stop(launcher: ChildProcess): Promise<void> {
  if (launcher.exitCode !== null) return;
  launcher.kill("SIGTERM");
  await once(launcher, "exit");
}

/** Finds free TCP ports of this machine. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  const ports: number[] = [];
  for (const server of servers) {
    if (!server.listening) await once(server, "listening");
    ports.push((server.address() as AddressInfo).port);
  }
  for (const server of servers) {
    server.close();
    await once(server, "close");
  }
  return ports;
}
