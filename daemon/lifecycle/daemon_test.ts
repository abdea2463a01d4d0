/** Reloads of the daemon: which parts it keeps, which it opens again, and that a bad configuration changes nothing. */

import assert from "node:assert/strict";
import type { UnsettledWrites } from "../../registry/writes/fence.ts";
import type { Registry } from "../../registry/mod.ts";
import type { Store } from "../../registry/store/port.ts";
import { aborted } from "../../runtime/on_abort.ts";
import { systemClock } from "../host/system_clock.ts";
import { type Config, parseConfig } from "../config/options.ts";
import { Daemon } from "./daemon.ts";
import type { Status } from "./join_loop.ts";

const conf = (text: string) => parseConfig({ file: { path: "/f", text }, env: {} }).config;

/** A daemon whose parts record in `events` what happens to them. */
class Stage {
  readonly events: string[] = [];
  readonly unsettledWrites: UnsettledWrites[] = [];
  readonly statuses: string[] = [];
  firstStatus: Status = { ready: true };
  text = "";
  broken: string | undefined;
  /** No store is opened before this promise is resolved. */
  storeGate: Promise<void> | undefined;
  /** The call that fails, if any. */
  fails: "store" | "registry" | "putInForce" | "close" | "end" | undefined;
  #count = 0;
  readonly daemon = new Daemon<string>({
    configure: () =>
      this.broken ? Promise.reject(new Error(this.broken)) : Promise.resolve({ config: conf(this.text) }),
    openStore: async () => {
      await this.storeGate;
      if (this.fails === "store") throw new Error("no store");
      return { ...this.#part<Store>("store"), endpoints: "http://e:1" };
    },
    openRegistry: (_config, _store, unsettledWrites) => {
      if (this.fails === "registry") throw new Error("no registry");
      this.unsettledWrites.push(unsettledWrites);
      return this.#part<Registry>("registry");
    },
    openApi: ({ config }) => `api with pages of ${config.tokenLimit}`,
    runSession: async (_generation, report: (status: Status) => void, signal) => {
      this.events.push("a session begins");
      report(this.firstStatus);
      await aborted(signal);
      this.events.push("a session ends");
      if (this.fails === "end") throw new Error("no end");
    },
    putInForce: (config: Config) => {
      if (this.fails === "putInForce") throw new Error("no such certificate");
      this.events.push(`verbosity ${config.verbosity}`);
    },
    reloadRequest: () =>
      Promise.resolve((refusal) => {
        if (refusal === "fleetd is ending") this.events.push(`outcome: ${refusal}`);
        return Promise.resolve();
      }),
    notify: (text) => {
      if (text.startsWith("STATUS=")) this.statuses.push(text);
      else this.events.push(text.split("\n")[0]!);
      return Promise.resolve();
    },
    clock: { ...systemClock, sleep: (duration_ms, signal) => systemClock.sleep(Math.min(duration_ms, 50), signal) },
    log: (level, message) => this.events.push(`${level}: ${message.replace(/\d+ ms/, "n ms")}`),
  });

  #part<T>(what: string): T {
    const name = `${what} ${++this.#count}`;
    this.events.push(`${name} opened`);
    const close = () => {
      if (this.fails === "close") return Promise.reject(new Error("busy"));
      return Promise.resolve(void this.events.push(`${name} closed`));
    };
    return { close } as unknown as T;
  }

  async started(): Promise<this> {
    await this.daemon.start({ config: conf(this.text) });
    this.daemon.beginSession();
    this.events.length = 0;
    return this;
  }
}

Deno.test("a status is one line without control characters: systemctl prints it, and systemd reads each line", async () => {
  const stage = new Stage();
  stage.firstStatus = { ready: false, reason: "etcd:\n MAINPID=1\x1b[2J\x9b\u202e" };
  await stage.started();
  await stage.daemon.close();
  assert.deepEqual(stage.statuses, [String.raw`STATUS=etcd: MAINPID=1\u001b[2J\u009b\u202e`]);
});

const reloaded = "info: configuration reloaded in n ms";

const cases: readonly { name: string; text: string; want: readonly string[]; api?: string }[] = [
  { name: "verbosity", text: "verbosity=2", want: ["RELOADING=1", "verbosity 2", reloaded, "READY=1"] },
  {
    name: "the page size",
    text: "token_limit=5",
    want: ["RELOADING=1", "verbosity 0", reloaded, "READY=1"],
    api: "api with pages of 5",
  },
  {
    name: "metadata",
    text: "metadata=a=b",
    want: ["RELOADING=1", "verbosity 0", "a session ends", "a session begins", reloaded, "READY=1"],
  },
  {
    name: "agent_ttl",
    text: "agent_ttl=9s",
    want: [
      ...["RELOADING=1", "registry 3 opened", "verbosity 0", "a session ends", "a session begins", reloaded, "READY=1"],
      ...["registry 2 closed"],
    ],
  },
  {
    name: "etcd",
    text: "etcd_servers=http://b:1",
    want: [
      ...[
        "RELOADING=1",
        "store 3 opened",
        "registry 4 opened",
        "verbosity 0",
        "a session ends",
        "a session begins",
        reloaded,
      ],
      ...["READY=1", "registry 2 closed", "store 1 closed"],
    ],
  },
  {
    name: "the units' directory, which is refused",
    text: "units_directory=/x",
    want: [
      "RELOADING=1",
      "error: configuration not reloaded, the old one stays in force: units_directory cannot change while fleetd runs: " +
      "systemctl restart fleet",
      "READY=1",
    ],
  },
];

for (const { name, text, want, api = "api with pages of 100" } of cases) {
  Deno.test(`a reload that changes ${name}`, async () => {
    const stage = await new Stage().started();
    stage.text = text;
    await stage.daemon.reload();
    // Replaced parts are closed a little later.
    for (let waits = 0; stage.events.length < want.length && waits < 100; waits++) await systemClock.sleep(20);
    assert.deepEqual(stage.events, want);
    assert.equal(stage.daemon.generation.api, api);
    await stage.daemon.end(() => Promise.resolve());
    await stage.daemon.close();
  });
}

Deno.test("a bad configuration changes nothing", async () => {
  const stage = await new Stage().started();
  stage.broken = "/f:1: option agent_ttl";
  const before = stage.daemon.generation;
  await stage.daemon.reload();
  assert.equal(stage.daemon.generation, before);
  assert.deepEqual(stage.events, [
    "RELOADING=1",
    "error: configuration not reloaded, the old one stays in force: /f:1: option agent_ttl",
    "READY=1",
  ]);
  await stage.daemon.end(() => Promise.resolve());
  await stage.daemon.close();
});

Deno.test("reloads requested during a reload cause exactly one more", async () => {
  const stage = await new Stage().started();
  await Promise.all(Array.from({ length: 10 }, () => stage.daemon.reload()));
  assert.equal(stage.events.filter((line) => line === "READY=1").length, 2);
  await stage.daemon.end(() => Promise.resolve());
  await stage.daemon.close();
});

Deno.test("unsettled writes of a registry are passed on to the next one", async () => {
  const stage = await new Stage().started();
  stage.text = "etcd_servers=http://b:1";
  await stage.daemon.reload();
  const [first, second] = stage.unsettledWrites;
  assert.ok(first && first === second);
  await stage.daemon.end(() => Promise.resolve());
  await stage.daemon.close();
});

Deno.test("after a start that failed, closing logs nothing", async () => {
  for (const [fails, opened] of [["store", []], ["registry", ["store 1 opened", "store 1 closed"]]] as const) {
    const stage = new Stage();
    stage.fails = fails;
    await assert.rejects(stage.started(), new RegExp(`^Error: no ${fails}$`));
    await stage.daemon.close();
    assert.deepEqual(stage.events, opened);
    assert.throws(() => stage.daemon.generation, /has not opened its store/);
  }
});

Deno.test("a store that a refused reload has opened is closed again", async () => {
  for (const [fails, why] of [["registry", "no registry"], ["putInForce", "no such certificate"]] as const) {
    const stage = await new Stage().started();
    const before = stage.daemon.generation;
    stage.text = "etcd_servers=http://b:1";
    stage.fails = fails;
    await stage.daemon.reload();
    assert.equal(stage.daemon.generation, before);
    const registry = fails === "registry" ? [] : ["registry 4 opened", "registry 4 closed"];
    assert.deepEqual(stage.events, [
      ...["RELOADING=1", "store 3 opened", ...registry, "store 3 closed"],
      `error: configuration not reloaded, the old one stays in force: ${why}`,
      "READY=1",
    ]);
    stage.fails = undefined;
    await stage.daemon.end(() => Promise.resolve());
    await stage.daemon.close();
  }
});

Deno.test("a reload that is under way when the daemon ends is refused, and closes the store that it opens", async () => {
  const stage = await new Stage().started();
  const gate = Promise.withResolvers<void>();
  stage.storeGate = gate.promise;
  stage.text = "etcd_servers=http://b:1";
  const before = stage.daemon.generation;
  const reloading = stage.daemon.reload();
  const ending = stage.daemon.end(() => Promise.resolve());
  gate.resolve();
  await Promise.all([reloading, ending]);
  assert.equal(stage.daemon.generation, before);
  assert.deepEqual(stage.events, [
    ...["RELOADING=1", "STOPPING=1", "store 3 opened", "registry 4 opened", "registry 4 closed", "store 3 closed"],
    ...["info: configuration not reloaded: fleetd is ending", "outcome: fleetd is ending", "a session ends"],
  ]);
  await stage.daemon.close();
});

Deno.test("a reload that fails because the daemon ends is logged as refused for that reason", async () => {
  const stage = await new Stage().started();
  const gate = Promise.withResolvers<void>();
  stage.storeGate = gate.promise;
  stage.fails = "store";
  stage.text = "etcd_servers=http://b:1";
  const reloading = stage.daemon.reload();
  const ending = stage.daemon.end(() => Promise.resolve());
  gate.resolve();
  await Promise.all([reloading, ending]);
  assert.deepEqual(stage.events.filter((event) => /^(info|error|READY|outcome)/.test(event)), [
    ...["info: configuration not reloaded: fleetd is ending", "outcome: fleetd is ending"],
  ]);
  await stage.daemon.close();
});

Deno.test("a reload begins the next session even if the previous one fails at its end", async () => {
  const stage = await new Stage().started();
  stage.text = "metadata=a=b";
  stage.fails = "end";
  await stage.daemon.reload();
  assert.deepEqual(stage.events.slice(2), [
    ...["a session ends", "error: the daemon's work failed while it was ending: no end", "a session begins"],
    ...[reloaded, "READY=1"],
  ]);
  stage.fails = undefined;
  await stage.daemon.end(() => Promise.resolve());
  await stage.daemon.close();
});

Deno.test("errors at the end of a daemon are logged", async () => {
  const stage = await new Stage().started();
  stage.fails = "end";
  await stage.daemon.end(() => Promise.resolve());
  stage.fails = "close";
  await stage.daemon.close();
  assert.deepEqual(stage.events.filter((line) => line.startsWith("error")), [
    "error: the daemon's work failed while it was ending: no end",
    "error: cannot close the registry: busy",
    "error: cannot close the store at http://e:1: busy",
  ]);
});
