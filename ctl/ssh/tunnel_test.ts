import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { FakeIo } from "../testing/fake_terminal.ts";
import type { SshConnection } from "./port.ts";
import { tunnelledFetch } from "./tunnel.ts";

/** A stream on which no answer arrives. */
class SilentStream extends Duplex {
  override _read() {}

  override _write(_chunk: unknown, _encoding: string, done: () => void) {
    done();
  }
}

/** A stream of a connection that is dead: closing it needs an answer of the server, as ssh2's channels do. */
class DeadStream extends SilentStream {
  override destroy() {
    return this;
  }
}

function connectionWith(open: () => Promise<Duplex>): SshConnection {
  return {
    to: "core@10.0.0.1",
    session: () => Promise.reject(new Error("no sessions here")),
    toTcp: open,
    toSocket: open,
    open: true,
    close: () => {},
  };
}

/** Sends a request through a connection whose streams come from `open` until `stop` aborts it. */
async function abortedRequest(open: () => Promise<Duplex>, stop: AbortController): Promise<void> {
  const send = tunnelledFetch(() => Promise.resolve(connectionWith(open)), "/run/fleet.sock", {}, new FakeIo());
  await assert.rejects(send("http://127.0.0.1/readyz", { method: "GET", headers: {}, signal: stop.signal }));
}

Deno.test("a request through a tunnel ends when its signal aborts while the answer is awaited", async () => {
  const stop = new AbortController();
  const stream = new SilentStream();
  stream.once("resume", () => stop.abort());
  await abortedRequest(() => Promise.resolve(stream), stop);
  assert.ok(stream.destroyed);
});

Deno.test("a request through a tunnel ends when its signal aborts just before the stream is open", async () => {
  const stop = new AbortController();
  const stream = new SilentStream();
  const open = () => {
    stop.abort();
    return Promise.resolve(stream);
  };
  await abortedRequest(open, stop);
  assert.ok(stream.destroyed);
});

Deno.test("a request through a tunnel ends when its signal aborts while the stream is opened", async () => {
  const stop = new AbortController();
  const stream = new SilentStream();
  const opened = Promise.withResolvers<Duplex>();
  const open = () => {
    queueMicrotask(() => stop.abort());
    return opened.promise;
  };
  await abortedRequest(open, stop);
  opened.resolve(stream);
  await new Promise((resolve) => stream.once("close", resolve));
});

Deno.test("a request through a dead tunnel ends when its signal aborts while the answer is awaited", async () => {
  const stop = new AbortController();
  const stream = new DeadStream();
  stream.once("resume", () => stop.abort());
  await abortedRequest(() => Promise.resolve(stream), stop);
});

Deno.test("the body of an answer through a dead tunnel ends when the signal of its request aborts", async () => {
  const stop = new AbortController();
  const stream = new DeadStream();
  stream.push("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  const connection = connectionWith(() => Promise.resolve(stream));
  const send = tunnelledFetch(() => Promise.resolve(connection), "/run/fleet.sock", {}, new FakeIo());
  const answer = await send("http://127.0.0.1/readyz", { method: "GET", headers: {}, signal: stop.signal });
  const reader = answer.body!.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "half");
  const rest = reader.read();
  stop.abort(new Error("too late"));
  await assert.rejects(rest, /too late/);
});

Deno.test("a connection through the tunnel that is lost is named as lost", async () => {
  const stream = new SilentStream();
  stream.push("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf");
  const connection = connectionWith(() => Promise.resolve(stream));
  const send = tunnelledFetch(() => Promise.resolve(connection), "/run/fleet.sock", {}, new FakeIo());
  const { signal } = new AbortController();
  const answer = await send("http://127.0.0.1/readyz", { method: "GET", headers: {}, signal });
  stream.destroy();
  await assert.rejects(answer.text(), /the connection through the tunnel was lost/);
});
