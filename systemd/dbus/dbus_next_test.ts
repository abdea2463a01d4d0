import assert from "node:assert/strict";
import type { BusEvents } from "./transport.ts";
import { openBusConnector } from "./dbus_next.ts";

const deaf: BusEvents = { signal: () => {}, closed: () => {} };

/** A bus that answers each line of the handshake with `answer`; `undefined` closes the connection. */
async function withBus(answer: (line: string) => string | undefined, work: (address: string) => Promise<void>) {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/bus`;
  const listener = Deno.listen({ transport: "unix", path });
  const served = (async () => {
    for await (const connection of listener) {
      for await (const chunk of connection.readable.pipeThrough(new TextDecoderStream())) {
        const reply = chunk.includes("AUTH") || chunk.includes("BEGIN") ? answer(chunk) : "";
        if (reply === undefined) break;
        const writer = reply && connection.writable.getWriter();
        if (writer) {
          await writer.write(new TextEncoder().encode(reply));
          writer.releaseLock();
        }
      }
    }
  })();
  try {
    await work(`unix:path=${path}`);
  } finally {
    listener.close();
    await served;
    await Deno.remove(folder, { recursive: true });
  }
}

const guid = "0123456789abcdef0123456789abcdef";

Deno.test("a bus that refuses the authentication is unavailable at once", () =>
  withBus(() => "REJECTED EXTERNAL\r\n", async (address) => {
    await assert.rejects(openBusConnector({ bus: address, timeout_ms: 60_000 }).connect(deaf), {
      code: "unavailable",
      message: new RegExp(`^cannot connect to D-Bus at ${address}: `),
    });
  }));

Deno.test("a silent bus is unavailable at the deadline", () =>
  withBus((line) => line.includes("AUTH") ? `OK ${guid}\r\n` : "", async (address) => {
    await assert.rejects(openBusConnector({ bus: address, timeout_ms: 50 }).connect(deaf), {
      code: "unavailable",
      message: /Hello was not answered within 50 ms/,
    });
  }));

Deno.test("a bus that closes the connection is unavailable at once", () =>
  withBus((line) => line.includes("AUTH") ? `OK ${guid}\r\n` : undefined, async (address) => {
    const reasons: string[] = [];
    const events = { signal: () => {}, closed: (reason: string) => void reasons.push(reason) };
    await assert.rejects(openBusConnector({ bus: address, timeout_ms: 60_000 }).connect(events), {
      code: "unavailable",
    });
    assert.equal(reasons.length, 1, "the end is reported once");
  }));

Deno.test("the error for a user without a bus names the package that provides one", async () => {
  const before = Deno.env.get("DBUS_SESSION_BUS_ADDRESS");
  Deno.env.set("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
  try {
    await assert.rejects(openBusConnector({ bus: "user", timeout_ms: 60_000 }).connect(deaf), {
      code: "unavailable",
      message: /^cannot connect to D-Bus at unix:path=\/nonexistent\/bus: .*; install the package dbus-user-session/,
    });
  } finally {
    if (before === undefined) Deno.env.delete("DBUS_SESSION_BUS_ADDRESS");
    else Deno.env.set("DBUS_SESSION_BUS_ADDRESS", before);
  }
});

Deno.test("unusable addresses are named in the error", async (test) => {
  const cases = ["unix:path=/nonexistent/bus,guid=1", "carrier-pigeon:", "", "unix:path=", "unix:path=/a%20b"];
  for (const bus of cases) {
    await test.step(`"${bus}"`, () =>
      assert.rejects(openBusConnector({ bus, timeout_ms: 1_000 }).connect(deaf), {
        code: "unavailable",
        message: new RegExp(`D-Bus (?:at |address ")${bus}`),
      }));
  }
});

Deno.test("a pause ends with its signal", async () => {
  const connector = openBusConnector({ bus: "unix:path=/nonexistent/bus", timeout_ms: 1_000 });
  const stop = new AbortController();
  const pause = connector.pause(3_600_000, stop.signal);
  stop.abort();
  await pause;
  await connector.pause(3_600_000, stop.signal);
  await connector.pause(1, new AbortController().signal);
});
