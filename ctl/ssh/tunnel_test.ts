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
