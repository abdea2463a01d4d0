/**
 * A value that cannot be read is not a desired state: what becomes of running units when one is found in the store. Each case has
 * a whole daemon, engine and agent, over a store of the suite and a systemd in memory.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Agent } from "../../daemon/agent/agent.ts";
import type { Intent } from "../../daemon/agent/intent.ts";
import { createHandler } from "../../daemon/api/handler.ts";
import { systemClock } from "../../daemon/host/system_clock.ts";
import { runEngine } from "../../daemon/engine/engine.ts";
import { gracePeriods } from "../../daemon/engine/grace_periods.ts";
import type { ClusterRegistry } from "../../registry/cluster_registry.ts";
import type { Log } from "../../runtime/log.ts";
import type { UnitName } from "../../registry/model.ts";
import type { Store } from "../../registry/store/port.ts";
import { FakeMachine, FakeSystemd } from "../../systemd/testing/fake_systemd.ts";
import { parseUnitFile } from "../../systemd/unit_file.ts";
import { until } from "../lab/process.ts";
import { type Case, keys, machine, type RegistryFixture } from "./registry_fixture.ts";

const job = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nMachineMetadata=on=m1\n";
const files: Readonly<Record<UnitName, string>> = {
  "a.service": job,
  "b.service": job,
  "g.service": "[Service]\nExecStart=/bin/sleep 1000\n[X-Fleet]\nGlobal=true\n",
  "h.service": "[Service]\nExecStart=/bin/sleep 2000\n[X-Fleet]\nGlobal=true\n",
  "beside-a.service": "[Service]\nExecStart=/bin/sleep 3000\n[X-Fleet]\nMachineOf=a.service\n",
  "c.service": "[Service]\nExecStart=/bin/sleep 4000\n",
  "beside-g.service": `${job}MachineOf=g.service\n`,
};

const noGrace = { ...gracePeriods(0, { share: 1, grace_s: 0 }), rejoinGrace_ms: 0 };

/** Those that run when a case begins. */
const first = ["a.service", "c.service", "g.service", "beside-a.service", "beside-g.service"];

/** One machine, whose daemon may end and another begin, and an operator. A second machine is there, without an agent. */
class Scene {
  readonly #machine = new FakeMachine();
  readonly systemd = new FakeSystemd(this.#machine);
  readonly #intents = new Map<UnitName, Intent>();
  readonly logged: string[] = [];
  #lease: string | undefined;
  #daemon: { readonly stop: AbortController; readonly ended: Promise<unknown> } | undefined;

  private constructor(readonly fixture: RegistryFixture, readonly operator: ClusterRegistry, readonly store: Store) {}

  /** Starts with {@link first} running. */
  static async open(fixture: RegistryFixture): Promise<Scene> {
    const operator = await fixture.open();
    const scene = new Scene(fixture, operator, await fixture.openStore());
    await scene.begin();
    for (const name of first) await scene.put(name);
    await scene.runs(...first);
    await operator.join(machine("m2"), undefined, fixture.signal);
    return scene;
  }

  async begin(): Promise<void> {
    const log: Log = (level, message, fields) => {
      if (level !== "debug") this.logged.push(`${level} ${message} ${JSON.stringify(fields ?? {})}`);
    };
    const registry = await this.fixture.open({ writer: "m1", log });
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.fixture.signal]);
    const me = machine("m1", { staticMetadata: { on: "m1" } });
    const membership = await registry.join(me, this.#lease, signal);
    this.#lease = membership.lease;
    const memory = {
      load: () => Promise.resolve(new Map(this.#intents)),
      save: (unit: UnitName, intent: Intent) => Promise.resolve(void this.#intents.set(unit, intent)),
      forget: (unit: UnitName) => Promise.resolve(void this.#intents.delete(unit)),
    };
    const common = { registry, clock: systemClock, log, safetyNet_ms: 60_000 };
    const agent = new Agent({
      ...{ ...common, systemd: this.systemd, memory, membership },
      ...{ machine: () => me, seen: () => {} },
    });
    const engine = { ...common, machine: "m1", version: "2.0.0", ...noGrace };
    const ended = Promise.all([agent.run(signal), runEngine(engine, signal)]);
    // At the end of a case the store is closed while the engine may still be giving up its lead.
    ended.catch((error) => {
      if (!this.fixture.signal.aborted) throw error;
    });
    this.#daemon = { stop, ended };
  }

  /** Ends the daemon as a restart does: units keep running. */
  async end(): Promise<void> {
    this.#daemon?.stop.abort();
    await this.#daemon?.ended;
    this.#daemon = undefined;
  }

  /** Replaces values by text that cannot be decoded. */
  async spoil(...spoilt: readonly string[]): Promise<void> {
    await this.store.transact([], [...spoilt, "written"].map((put) => ({ put, value: "{" })));
  }

  /** Replaces the values of those keys that exist by values of a newer version of fleet, which say something else. */
  async upgrade(...keys: readonly string[]): Promise<void> {
    const { ranges } = await this.store.read(keys.map((key) => ({ key })));
    const newer = { format: 2, desiredState: "inactive", machine: "m2", hash: "f".repeat(40) };
    await this.store.transact(
      [],
      ranges.flat().map(({ key, value }) => ({ put: key, value: JSON.stringify({ ...JSON.parse(value), ...newer }) })),
    );
  }

  async send(method: string, path: string, body?: unknown): Promise<{ readonly code: number; readonly text: string }> {
    const status = () => ({ ready: true });
    const options = {
      registry: this.operator,
      log: () => {},
      clock: systemClock,
      pageSize: 100,
      version: "2.0.0",
      status,
    };
    const answer = await createHandler(options)(
      new Request(`http://localhost/fleet/v1${path}`, {
        method,
        ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } }),
      }),
    );
    return { code: answer.status, text: await answer.text() };
  }

  async put(name: UnitName, desiredState = "launched"): Promise<void> {
    const answer = await this.send("PUT", `/units/${name}`, { options: parseUnitFile(files[name]!), desiredState });
    assert.ok(answer.code < 300, answer.text);
  }

  /** Which start of each unit runs, by InvocationID; "" where none does. */
  async running(): Promise<Readonly<Record<UnitName, string>>> {
    const statuses = await this.systemd.statuses(new Set(first));
    return Object.fromEntries(first.map((name) => {
      const status = statuses.get(name);
      return [name, status?.active === "active" ? status.invocation : ""];
    }));
  }

  async runs(...names: readonly UnitName[]): Promise<void> {
    await until(`${names} to run; logged: ${this.logged.join("\n")}`, async () => {
      const statuses = await this.systemd.statuses(new Set(names));
      return names.every((name) => statuses.get(name)?.active === "active");
    });
  }

  /** Waits until a new job and a new global run: the daemon has then acted on all earlier changes. */
  async settles(): Promise<void> {
    for (const name of ["b.service", "h.service"]) await this.put(name);
    await this.runs("b.service", "h.service");
  }

  /** Returns true if the key exists and its value is not the one that {@link spoil} writes. */
  async isReadable(key: string): Promise<boolean> {
    const { ranges: [found = []] } = await this.store.read([{ key }]);
    return found[0] !== undefined && found[0].value !== "{";
  }
}

/** Keys that an operator has to repair, those that the daemon repairs, and those whose value may be any text. */
const operators = ["unit/a.service", "global/g.service"];
const daemons = ["target/a.service", "assign/m1/a.service", "machine/m1", "state/m1/a.service", "leader"];
const others = ["metadata/m1/zone", "fence/m1"];

/** Keys that were never readable: of units of the other kind, on another machine, or that do not exist. */
const strays = [
  "global/a.service",
  "unit/g.service",
  "assign/m2/a.service",
  "assign/m1/none.service",
  "target/none.service",
];

const spoilt: readonly (readonly string[])[] = [
  ...[...operators, ...daemons, ...others, ...strays].map((key) => [key]),
  ["unit/a.service", "target/a.service", "assign/m1/a.service"],
  [...operators, ...daemons],
];

/** Every kind of key, with a daemon that has seen the earlier value and with one that starts. */
const harmless: readonly Case[] = [false, true].flatMap((isNew) =>
  spoilt.map((spoilt): Case => ({
    name: `${
      isNew ? "a daemon that starts" : "a running daemon"
    } stops and moves no unit while ${spoilt} cannot be read`,
    async run(fixture) {
      const scene = await Scene.open(fixture);
      const before = await scene.running();
      const texts = await keys(scene.store, "file/");
      if (isNew) await scene.end();
      await scene.spoil(...spoilt);
      if (isNew) await scene.begin();
      await scene.settles();
      assert.deepEqual(await scene.running(), before, scene.logged.join("\n"));
      const left = await keys(scene.store, "file/");
      assert.deepEqual(texts.filter((key) => !left.includes(key)), [], "no unit file was deleted");
      for (const key of spoilt.filter((key) => daemons.includes(key) && !spoilt.includes("unit/a.service"))) {
        await until(`${key} to be written again`, () => scene.isReadable(key));
      }
    },
  }))
);

/** Values that a newer version of fleet has written. */
const newer: readonly Case[] = [false, true].map((isNew): Case => ({
  name: `${isNew ? "a daemon that starts" : "a running daemon"} leaves units alone whose values have a newer format`,
  async run(fixture) {
    const scene = await Scene.open(fixture);
    const before = await scene.running();
    if (isNew) await scene.end();
    await scene.upgrade(...operators, ...daemons);
    if (isNew) await scene.begin();
    await scene.settles();
    assert.deepEqual(await scene.running(), before, scene.logged.join("\n"));
    for (const key of operators) {
      const { text } = await scene.send("GET", `/units/${key.replace(/.*\//, "")}`);
      assert.match(text, new RegExp(`cannot read key ${key}: its format 2 is of a newer version of fleet`));
    }
  },
}));

const repairs: readonly Case[] = [
  ...["a.service", "g.service"].flatMap((name): Case[] => [{
    name: `${name} keeps running while its record cannot be read; the API reports it, and a PUT repairs it`,
    async run(fixture) {
      const scene = await Scene.open(fixture);
      const before = await scene.running();
      const key = name === "a.service" ? "unit/a.service" : "global/g.service";
      await scene.spoil(key);
      for (const path of ["/units", `/units/${name}`, `/units/${name}/explain`]) {
        const { code, text } = await scene.send("GET", path);
        assert.equal(code, 200);
        assert.match(text, new RegExp(`cannot read key ${key}`));
      }
      const bare = await scene.send("PUT", `/units/${name}`, { desiredState: "inactive" });
      assert.deepEqual([bare.code, /cannot read key .*: put the unit again/.test(bare.text)], [409, true], bare.text);
      assert.equal((await scene.send("POST", `/units/${name}/restart`)).code, 409);
      await scene.put(name);
      await scene.settles();
      assert.deepEqual(await scene.running(), before, scene.logged.join("\n"));
      assert.ok(await scene.isReadable(key));
      await scene.put(name, "loaded");
      await until(`${name} to stop`, async () => (await scene.running())[name] === "");
    },
  }, {
    name: `a DELETE of ${name}, whose record cannot be read, removes it from its machine and from the store`,
    async run(fixture) {
      const scene = await Scene.open(fixture);
      await scene.end();
      await scene.spoil(...name === "a.service" ? ["unit/a.service", "target/a.service"] : ["global/g.service"]);
      await scene.begin();
      assert.equal((await scene.send("DELETE", `/units/${name}`)).code, 204);
      await until(`${name} to be gone`, async () => !(await scene.systemd.files()).has(name));
      await until("its keys to be gone", async () => {
        return !(await keys(scene.store)).some((key) => key.endsWith(`/${name}`));
      });
    },
  }]),
  {
    name: "the engine waits for a leader key that cannot be read while the key is bound to a lease",
    async run(fixture) {
      const scene = await Scene.open(fixture);
      await scene.end();
      const lease = await scene.store.grant(30);
      await scene.store.transact([], [{ put: "leader", value: "{", lease }]);
      await scene.begin();
      const isLogged = () =>
        scene.logged.some((line) => /^warn the leader's record cannot be read.*cannot read key leader/.test(line));
      await until("the leader's record to be logged", () => isLogged());
      assert.ok(!await scene.isReadable("leader"));
      await scene.store.revoke(lease);
      await scene.settles();
    },
  },
  {
    name: "a value that cannot be read is logged once a revision, also after full reads",
    async run(fixture) {
      const scene = await Scene.open(fixture);
      const warnings = () =>
        scene.logged.filter((line) => line.startsWith("warn") && line.includes("unit/a.service")).length;
      await scene.spoil("unit/a.service");
      await until("the first warning", () => warnings() === 1);
      await scene.spoil("unit/a.service");
      await until("the second warning", () => warnings() === 2);
      await scene.settles();
      assert.equal(warnings(), 2);
    },
  },
];

export const unreadableCases: readonly Case[] = [...harmless, ...newer, ...repairs];
