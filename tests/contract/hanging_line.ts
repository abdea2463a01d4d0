/**
 * A proxy to an etcd server that can hang: it keeps requests without a response, and delivers them when it continues. A
 * stopped member behaves like that, but the order of its reads is not predictable.
 *
 * @module
 */

import { until } from "../lab/process.ts";

/** Frames of HTTP/2 (RFC 9113, sections 4.1 and 6). */
const frameType = { headers: 1, resetStream: 3 } as const;
const endStream = 1;

interface Frame {
  readonly bytes: Uint8Array;
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
}

/** Splits bytes into whole frames. */
class FrameReader {
  #rest = new Uint8Array();

  read(chunk: Uint8Array): Frame[] {
    const bytes = this.#rest = joined([this.#rest, chunk]);
    const view = new DataView(bytes.buffer);
    const frames: Frame[] = [];
    let at = 0;
    while (at + 9 <= bytes.length) {
      const end = at + 9 + (view.getUint32(at) >>> 8);
      if (end > bytes.length) break;
      const stream = view.getUint32(at + 5) & 0x7fffffff;
      frames.push({ bytes: bytes.slice(at, end), type: bytes[at + 3]!, flags: bytes[at + 4]!, stream });
      at = end;
    }
    this.#rest = bytes.slice(at);
    return frames;
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** One connection through the proxy. */
interface Call {
  readonly client: Deno.TcpConn;
  readonly server: Deno.TcpConn;
  /** The bytes that the client has sent since the proxy hangs. */
  held: Uint8Array[];
  /** Streams that the server has ended. */
  readonly ended: Set<number>;
}

export class HangingLine implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #calls: Call[] = [];
  readonly #pumps: Promise<void>[] = [];
  readonly #accepting: Promise<void>;
  #hangs = false;

  /** `endpoint` is the server's, `http://address:port`. */
  constructor(endpoint: string) {
    const { hostname, port } = new URL(endpoint);
    this.#accepting = this.#accept({ hostname, port: Number(port) });
  }

  /** The address that clients use instead of the server's. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#listener.addr.port}`;
  }

  /** Stops delivering what clients send. No request may be pending. */
  hang(): void {
    this.#hangs = true;
  }

  /**
   * Delivers the requests that were kept, but not that their senders have given them up meanwhile (a server sees that
   * only after it has begun on them), and waits until each is answered. Returns how many there were.
   */
  async goOn(): Promise<number> {
    this.#hangs = false;
    const counts = await Promise.all(this.#calls.map((call) => deliver(call)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    for (const { client, server } of this.#calls) for (const each of [client, server]) close(each);
    await Promise.all(this.#pumps);
  }

  async #accept(server: Deno.ConnectOptions): Promise<void> {
    for await (const client of this.#listener) {
      const call: Call = { client, server: await Deno.connect(server), held: [], ended: new Set() };
      this.#calls.push(call);
      this.#pumps.push(this.#ask(call), this.#answer(call));
    }
  }

  async #ask(call: Call): Promise<void> {
    await pump(call.client, async (chunk) => {
      if (this.#hangs) call.held.push(chunk);
      else await write(call.server, chunk);
    });
    // The requests of a client that disconnects while the proxy hangs are kept.
    if (!this.#hangs) close(call.server);
  }

  async #answer(call: Call): Promise<void> {
    const reader = new FrameReader();
    await pump(call.server, async (chunk) => {
      for (const { type, flags, stream } of reader.read(chunk)) {
        if (type === frameType.resetStream || type === frameType.headers && flags & endStream) call.ended.add(stream);
      }
      await write(call.client, chunk).catch(() => {}); // the client has disconnected
    });
    close(call.client);
  }
}

async function deliver(call: Call): Promise<number> {
  const frames = new FrameReader().read(joined(call.held)).filter(({ type }) => type !== frameType.resetStream);
  call.held = [];
  if (frames.length === 0) return 0;
  await write(call.server, joined(frames.map(({ bytes }) => bytes)));
  const asked = frames.filter(({ type }) => type === frameType.headers).map(({ stream }) => stream);
  await until("the late answers", () => Promise.resolve(asked.every((stream) => call.ended.has(stream)) || undefined));
  return asked.length;
}

async function pump(from: Deno.TcpConn, take: (chunk: Uint8Array) => Promise<void>): Promise<void> {
  try {
    for await (const chunk of from.readable.values({ preventCancel: true })) await take(chunk.slice());
  } catch {
    // The client or the server has disconnected.
  }
}

async function write(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await to.write(bytes.subarray(at));
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
