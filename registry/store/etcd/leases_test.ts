import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { StoreUnavailableError } from "../../mod.ts";
import type { DuplexStream } from "./connection.ts";
import { LeaseRenewals } from "./leases.ts";

/** A stream that answers each renewal with `ttl_s`. */
class AnsweringStream extends EventEmitter {
  constructor(private readonly ttl_s: string) {
    super();
  }

  write({ ID }: { readonly ID: string }): boolean {
    queueMicrotask(() => this.emit("data", { ID, TTL: this.ttl_s }));
    return true;
  }

  cancel(): void {}
}

function renewals(open: (member: number | undefined) => Promise<unknown>, size: number): LeaseRenewals {
  return new LeaseRenewals({
    size,
    endpoints: "http://a:2379",
    open: (_service, _method, member) => open(member) as Promise<DuplexStream<never>>,
    suspect: () => {},
  });
}

Deno.test("a renewal whose stream does not open in time is rejected, and the next one opens another stream", async () => {
  const first = Promise.withResolvers<unknown>();
  const streams = [first.promise, Promise.resolve(new AnsweringStream("6"))];
  const leases = renewals(() => streams.shift()!, 1);
  await assert.rejects(leases.renew("1", 20), StoreUnavailableError);
  assert.equal(await leases.renew("1", 5_000), 6);
  // The late stream is canceled, and its error does not affect the stream in use.
  const late = new AnsweringStream("0");
  const canceled = new Promise<void>((resolve) => late.cancel = resolve);
  first.resolve(late);
  await canceled;
  late.emit("error", new Error("canceled"));
  assert.equal(await leases.renew("1", 5_000), 6);
  leases.close();
});

Deno.test("a renewal is sent to every member when the shared stream does not open in time", async () => {
  const open = (member: number | undefined) => {
    return member === 1 ? Promise.resolve(new AnsweringStream("6")) : new Promise<never>(() => {});
  };
  const leases = renewals(open, 3);
  assert.equal(await leases.renew("1", 40), 6);
  leases.close();
});

Deno.test("a renewal is rejected in time when no member opens a stream", async () => {
  const leases = renewals(() => new Promise<never>(() => {}), 3);
  await assert.rejects(leases.renew("1", 40), /did not renew a lease/);
  leases.close();
});
