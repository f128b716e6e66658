/** A TCP proxy between browser and server that a test can disconnect; it also serves the worklet of the taps. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { TAP_PATH, TAP_WORKLET } from "./taps";

export class NetworkLink {
  readonly #targetPort: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isConnected = true;

  private constructor(targetPort: number) {
    this.#targetPort = targetPort;
    this.#server = createServer((incoming, response) => {
      if (incoming.url === TAP_PATH) response.writeHead(200, { "content-type": "text/javascript" }).end(TAP_WORKLET);
      else this.#forwardRequest(incoming, response);
    });
    this.#server.on("connection", (client) => {
      if (this.#isConnected) this.#trackSocket(client);
      else client.resetAndDestroy();
    });
    this.#server.on("upgrade", (incoming: IncomingMessage, client: Socket, head: Buffer) => {
      this.#forwardUpgrade(incoming, client, head);
    });
  }

  /** Opens a link to a port of this machine. */
  static async open(targetPort: number): Promise<NetworkLink> {
    const link = new NetworkLink(targetPort);
    link.#server.listen(0, "127.0.0.1");
    await once(link.#server, "listening");
    return link;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resets every connection, as a lost network does, and refuses new ones. */
  disconnect(): void {
    this.#isConnected = false;
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  /** Accepts connections again. */
  restore(): void {
    this.#isConnected = true;
  }

  async close(): Promise<void> {
    this.disconnect();
    this.#server.close();
    await once(this.#server, "close");
  }

  #forwardRequest(incoming: IncomingMessage, response: ServerResponse): void {
    const { method, url: path, headers } = incoming;
    const upstream = request(
      { host: "127.0.0.1", port: this.#targetPort, method, path, headers },
      (upstreamResponse) => {
        response.writeHead(upstreamResponse.statusCode ?? 502, upstreamResponse.headers);
        upstreamResponse.pipe(response);
      },
    );
    upstream.on("error", () => response.destroy());
    incoming.pipe(upstream);
  }

  #forwardUpgrade(incoming: IncomingMessage, client: Socket, head: Buffer): void {
    const upstream = connect(this.#targetPort, "127.0.0.1");
    const headers = incoming.rawHeaders.map((word, index) => (index % 2 ? `${word}\r\n` : `${word}: `)).join("");
    upstream.write(`GET ${incoming.url ?? "/"} HTTP/1.1\r\n${headers}\r\n`);
    upstream.write(head);
    this.#trackSocket(upstream);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      from.setNoDelay();
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
  }

  #trackSocket(socket: Socket): void {
    this.#sockets.add(socket);
    // `disconnect` resets the sockets; "close" follows.
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
  }
}
