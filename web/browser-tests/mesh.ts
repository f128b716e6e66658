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

/** A running mesh: the port of its console and WebSocket on 127.0.0.1, and how to stop it. */
export interface Mesh {
  port: number;
  stop: () => Promise<void>;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const mesh = await startMesh("mesh");
  try {
    project.provide("meshPort", mesh.port);
    process.env["ANCHOR_URL"] = `http://127.0.0.1:${mesh.port}`;
    const example = { root: `${PROJECT}web/client/example`, logLevel: "warn" } as const;
    await build(example);
    const server = await preview({ ...example, preview: { host: "127.0.0.1", port: 0 } });
    project.provide("examplePort", (server.httpServer.address() as AddressInfo).port);
    return async () => {
      await server.close();
      await mesh.stop();
    };
  } catch (error) {
    await mesh.stop();
    throw error;
  }
}

/** Starts a mesh on free ports with these settings; its files are in the folder `name` of the tests' own. */
export async function startMesh(name: string, settings: Record<string, string> = {}): Promise<Mesh> {
  mkdirSync(RUN, { recursive: true });
  const ports = await freePorts(PORT_VARIABLES.length);
  const environment = Object.fromEntries(PORT_VARIABLES.map((variable, index) => [variable, String(ports[index])]));
  const launcher = spawn(`${PROJECT}.venv/bin/python`, ["-m", "anchor_cli", "up", "--no-self-test"], {
    cwd: PROJECT,
    env: {
      ...process.env,
      ...environment,
      ANCHOR_RUN_DIR: `${RUN}${name}`,
      ANCHOR_DRAIN_S: "2",
      ORCHESTRATOR_WEB_DIR: `${PROJECT}web/dist`,
      // Every test leaves a session, which occupies one of the recogniser's four streams until it expires.
      ORCHESTRATOR_RESUME_S: "6",
      ORCHESTRATOR_HOSTS: '["anchor.test"]',
      ...settings,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  const logFile = createWriteStream(`${RUN}${name}-launcher.txt`);
  for (const stream of [launcher.stdout, launcher.stderr]) {
    stream.pipe(logFile);
    stream.on("data", (text) => (output += String(text)));
  }
  try {
    await waitUntilServing(launcher, () => output);
  } catch (error) {
    await stop(launcher);
    throw error;
  }
  return { port: Number(environment["ORCHESTRATOR_HTTP_PORT"]), stop: () => stop(launcher) };
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
