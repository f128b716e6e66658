/** The line between a browser and a server: a test can cut it, and it brings the page the worklet of the taps. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { TAP_PATH, TAP_WORKLET } from "./taps";

export class Line {
  readonly #far: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #whole = true;

  private constructor(farPort: number) {
    this.#far = farPort;
    this.#server = createServer((asked, answer) => {
      if (asked.url === TAP_PATH) answer.writeHead(200, { "content-type": "text/javascript" }).end(TAP_WORKLET);
      else this.#ask(asked, answer);
    });
    this.#server.on("connection", (near) => {
      if (this.#whole) this.#keep(near);
      else near.resetAndDestroy();
    });
    this.#server.on("upgrade", (asked: IncomingMessage, near: Socket, head: Buffer) => {
      this.#join(asked, near, head);
    });
  }

  /** Opens a line to a port of this machine. */
  static async open(farPort: number): Promise<Line> {
    const line = new Line(farPort);
    line.#server.listen(0, "127.0.0.1");
    await once(line.#server, "listening");
    return line;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Breaks every connection at once, as a lost network does, and lets none come. */
  cut(): void {
    this.#whole = false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  mend(): void {
    this.#whole = true;
  }

  async close(): Promise<void> {
    this.cut();
    this.#server.close();
    await once(this.#server, "close");
  }

  #ask(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, url: path, headers } = asked;
    const far = request({ host: "127.0.0.1", port: this.#far, method, path, headers }, (answered) => {
      answer.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(answer);
    });
    far.on("error", () => answer.destroy());
    asked.pipe(far);
  }

  #join(asked: IncomingMessage, near: Socket, head: Buffer): void {
    const far = connect(this.#far, "127.0.0.1");
    const headers = asked.rawHeaders.map((word, index) => (index % 2 ? `${word}\r\n` : `${word}: `)).join("");
    far.write(`GET ${asked.url ?? "/"} HTTP/1.1\r\n${headers}\r\n`);
    far.write(head);
    this.#keep(far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.setNoDelay();
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    // A reset is what a cut line looks like; "close" follows it.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
