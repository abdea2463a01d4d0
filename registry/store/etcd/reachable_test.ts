import assert from "node:assert/strict";
import { untilReachable } from "./reachable.ts";

const hostname = "127.0.0.1";

Deno.test("an address that accepts the first connection was not cut off", async () => {
  using listener = Deno.listen({ hostname, port: 0 });
  assert.equal(await untilReachable({ host: hostname, port: listener.addr.port }, new AbortController().signal), false);
});

Deno.test("an address that accepts only a later connection was cut off", async () => {
  const { port } = (() => {
    using listener = Deno.listen({ hostname, port: 0 });
    return listener.addr;
  })();
  const isAway = await Deno.connect({ hostname, port }).then((conn) => conn.close(), () => true);
  assert.equal(isAway, true, "the port is free");
  const probing = untilReachable({ host: hostname, port }, new AbortController().signal);
  // The first attempt is refused before anything else happens on the loopback interface.
  await Deno.connect({ hostname, port }).catch(() => {});
  using _listener = Deno.listen({ hostname, port });
  assert.equal(await probing, true);
});

Deno.test("probing ends at once when it is aborted", async () => {
  const stop = new AbortController();
  // TEST-NET-1 (RFC 5737): no packet is answered.
  const probing = untilReachable({ host: "192.0.2.1", port: 1 }, stop.signal);
  stop.abort();
  assert.equal(await probing, false);
});
