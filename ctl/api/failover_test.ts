import assert from "node:assert/strict";
import { type Send, UnreachableError } from "./client.ts";
import { Failover } from "./failover.ts";
import { FakeIo } from "../testing/fake_terminal.ts";

/** Endpoints whose behavior a test sets; each request is recorded as `GET /path at name`. */
class FakeEndpoints {
  readonly requests: string[] = [];
  readonly io = new FakeIo();
  /** The HTTP status of each endpoint, or the way in which it fails. */
  readonly behavior = new Map<string, number | "dead" | "silent">();

  failover(...names: string[]): Failover {
    return new Failover(names.map((name) => ({ endpoint: name, send: this.#send(name) })), this.io);
  }

  #send(name: string): Send {
    return async (path, { method, signal }) => {
      this.requests.push(`${method} ${path} at ${name}`);
      const behavior = this.behavior.get(name) ?? 200;
      if (behavior === "dead") throw new UnreachableError(`${name} is dead`);
      if (behavior === "silent") {
        await new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve()));
        throw new Error("aborted");
      }
      return new Response(name, { status: behavior });
    };
  }
}

async function textOf(failover: Failover, method = "GET"): Promise<string> {
  return await (await failover.send("/units", { method })).text();
}

Deno.test("the first endpoint is used while it responds", async () => {
  const endpoints = new FakeEndpoints();
  const failover = endpoints.failover("a", "b");
  assert.deepEqual([await textOf(failover), await textOf(failover)], ["a", "a"]);
  assert.deepEqual(endpoints.requests, ["GET /readyz at a", "GET /units at a", "GET /units at a"]);
});

for (const behavior of ["dead", "silent", 503] as const) {
  Deno.test(`an endpoint that is ${behavior} is skipped`, async () => {
    const endpoints = new FakeEndpoints();
    endpoints.behavior.set("a", behavior);
    const failover = endpoints.failover("a", "b", "c");
    assert.equal(await endpoints.io.clock.runToEnd(textOf(failover)), "b");
    assert.equal(failover.endpoint, "b");
  });
}

Deno.test("if no endpoint is ready, the first response is returned", async () => {
  const endpoints = new FakeEndpoints();
  endpoints.behavior.set("a", "dead").set("b", 503).set("c", 503);
  const answer = await endpoints.failover("a", "b", "c").send("/units", { method: "GET" });
  assert.deepEqual([answer.status, await answer.text()], [503, "b"]);
});

Deno.test("the reasons of all endpoints are reported if none responds", async () => {
  const endpoints = new FakeEndpoints();
  endpoints.behavior.set("a", "dead").set("b", "dead");
  await assert.rejects(endpoints.failover("a", "b").send("/units", { method: "GET" }), {
    name: "UnreachableError",
    message: "no endpoint answers: a is dead; b is dead",
  });
});

Deno.test("a read is sent to the next endpoint when the one in use is lost, and later requests stay at that endpoint", async () => {
  const endpoints = new FakeEndpoints();
  const failover = endpoints.failover("a", "b");
  await textOf(failover);
  endpoints.behavior.set("a", "dead");
  assert.equal(await textOf(failover), "b");
  endpoints.behavior.delete("a");
  assert.equal(await textOf(failover), "b");
});

Deno.test("a write is not sent twice; the next request goes to another endpoint", async () => {
  const endpoints = new FakeEndpoints();
  const failover = endpoints.failover("a", "b");
  await textOf(failover);
  endpoints.behavior.set("a", "dead");
  await assert.rejects(textOf(failover, "POST"), /a is dead/);
  assert.equal(await textOf(failover, "POST"), "b");
  assert.equal(endpoints.requests.filter((request) => request.startsWith("POST")).length, 2);
});

Deno.test("the next request tries all endpoints again after all have failed", async () => {
  const endpoints = new FakeEndpoints();
  endpoints.behavior.set("a", "dead").set("b", "dead");
  const failover = endpoints.failover("a", "b");
  await assert.rejects(textOf(failover));
  endpoints.behavior.delete("b");
  assert.equal(await textOf(failover), "b");
});
