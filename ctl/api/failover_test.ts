import assert from "node:assert/strict";
import { type Send, UnreachableError } from "./client.ts";
import { Failover } from "./failover.ts";
import { FakeIo } from "../testing/fake_terminal.ts";

/** Endpoints that answer as a test says; each request is noted as `GET /path at name`. */
class Cluster {
  readonly requests: string[] = [];
  /** The status of each endpoint, or how it fails. */
  readonly behavior = new Map<string, number | "dead" | "silent">();

  failover(...names: string[]): Failover {
    return new Failover(names.map((name) => ({ endpoint: name, send: this.#send(name) })), new FakeIo());
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

Deno.test("the first endpoint is used while it answers", async () => {
  const cluster = new Cluster();
  const failover = cluster.failover("a", "b");
  assert.deepEqual([await textOf(failover), await textOf(failover)], ["a", "a"]);
  assert.deepEqual(cluster.requests, ["GET /readyz at a", "GET /units at a", "GET /units at a"]);
});

for (const behavior of ["dead", "silent", 503] as const) {
  Deno.test(`an endpoint that is ${behavior} is passed over`, async () => {
    const cluster = new Cluster();
    cluster.behavior.set("a", behavior);
    const failover = cluster.failover("a", "b", "c");
    assert.equal(await textOf(failover), "b");
    assert.equal(failover.endpoint, "b");
  });
}

Deno.test("where no endpoint is ready, the first that answers says why", async () => {
  const cluster = new Cluster();
  cluster.behavior.set("a", "dead").set("b", 503).set("c", 503);
  const answer = await cluster.failover("a", "b", "c").send("/units", { method: "GET" });
  assert.deepEqual([answer.status, await answer.text()], [503, "b"]);
});

Deno.test("where no endpoint answers, each is said with its reason", async () => {
  const cluster = new Cluster();
  cluster.behavior.set("a", "dead").set("b", "dead");
  await assert.rejects(cluster.failover("a", "b").send("/units", { method: "GET" }), {
    name: "UnreachableError",
    message: "no endpoint answers: a is dead; b is dead",
  });
});

Deno.test("a request that reads is sent to the next endpoint when the one in use is lost; later ones follow", async () => {
  const cluster = new Cluster();
  const failover = cluster.failover("a", "b");
  await textOf(failover);
  cluster.behavior.set("a", "dead");
  assert.equal(await textOf(failover), "b");
  cluster.behavior.delete("a");
  assert.equal(await textOf(failover), "b");
});

Deno.test("a request that changes something is not sent twice; the next one goes to another endpoint", async () => {
  const cluster = new Cluster();
  const failover = cluster.failover("a", "b");
  await textOf(failover);
  cluster.behavior.set("a", "dead");
  await assert.rejects(textOf(failover, "POST"), /a is dead/);
  assert.equal(await textOf(failover, "POST"), "b");
  assert.equal(cluster.requests.filter((request) => request.startsWith("POST")).length, 2);
});

Deno.test("a lost cluster is tried again by the next request", async () => {
  const cluster = new Cluster();
  cluster.behavior.set("a", "dead").set("b", "dead");
  const failover = cluster.failover("a", "b");
  await assert.rejects(textOf(failover));
  cluster.behavior.delete("b");
  assert.equal(await textOf(failover), "b");
});
