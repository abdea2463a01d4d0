import assert from "node:assert/strict";
import { ClusterView } from "./cluster_view.ts";
import * as codec from "../schema/codec.ts";
import { encodeMachine } from "../schema/machine.ts";
import type { KeyValue, WatchEvent } from "../store/port.ts";

/** A view and the store that it follows. Each change is one revision. */
class Bench {
  readonly logged: string[] = [];
  readonly view = new ClusterView((level, _message, fields) => this.logged.push(`${level} ${fields?.["error"]}`));
  readonly #kvs = new Map<string, KeyValue>();
  #revision = 0;

  constructor() {
    this.reread();
  }

  /** Writes values; undefined deletes a key. */
  write(values: Readonly<Record<string, string | undefined>>): this {
    const modRevision = ++this.#revision;
    const events = Object.entries(values).map(([key, value]): WatchEvent => {
      if (value === undefined) {
        this.#kvs.delete(key);
        return { kind: "delete", key, modRevision };
      }
      const kv = { key, value, createRevision: modRevision, modRevision, lease: "" };
      this.#kvs.set(key, kv);
      return { kind: "put", kv };
    });
    this.view.apply({ revision: modRevision, events });
    return this;
  }

  /** Reads everything again, in the order of keys. */
  reread(): this {
    const kvs = [...this.#kvs.values()].sort((a, b) => a.key < b.key ? -1 : 1);
    this.view.reset(kvs, this.#revision);
    return this;
  }

  /** Empties the view, as a cache without readers does. */
  emptied(): this {
    this.view.reset([], 0);
    return this;
  }

  /** Checks the view, and a new view after a full read. */
  both(look: (view: ClusterView) => unknown, expected: unknown): this {
    assert.deepEqual(look(this.view), expected, "after the changes");
    const fresh = new ClusterView(() => {});
    fresh.reset([...this.#kvs.values()].sort((a, b) => a.key < b.key ? -1 : 1), this.#revision);
    assert.deepEqual(look(fresh), expected, "after a full read");
    return this;
  }
}

const unit = (hash = "h", options: readonly (readonly [string, string])[] = []) =>
  codec.encodeUnit({
    hash,
    fleetOptions: options.map(([name, value]) => ({ section: "X-Fleet", name, value })),
    desiredState: "launched",
    restart: 0,
    launchedAt: 1,
  });
const global = unit("h", [["Global", "true"]]);
const orders = codec.encodeAssignment({ hash: "h", desiredState: "launched", restart: 5 });
const target = codec.encodeTarget({ machine: "m1", why: "least loaded", since_ms: 9 });
const record = encodeMachine({
  id: "m1",
  ip: "10.0.0.1",
  incarnation: "boot",
  staticMetadata: { zone: "a" },
  capabilities: { disableEngine: false },
  version: "2.0.0",
});
const state = codec.encodeState({
  ...{ unit: "a.service", machine: "m1", hash: "h", commanded: "launched", restart: 0 },
  ...{ load: "loaded", active: "active", sub: "running", since_ms: 1 },
});
const text = "[X-Fleet]\nConflicts=b*\n";
const why = (key: string) => new RegExp(`cannot read key ${key}`);

Deno.test("an unreadable unit has the desired state of its assignment, and its own revision", () => {
  const placed = { "file/h": text, "assign/m1/a.service": orders, "target/a.service": target };
  new Bench().write({ ...placed, "unit/a.service": unit() }).write({ "unit/a.service": "{" }).both((view) => {
    const found = view.cluster().units.get("a.service")!;
    assert.match(found.unreadable!, why("unit/a.service"));
    const { hash, desiredState, restart, revision, requirements } = found;
    return { hash, desiredState, restart, revision, conflicts: requirements.conflicts };
  }, { hash: "h", desiredState: "launched", restart: 5, revision: 2, conflicts: ["b*"] });
});

Deno.test("an unreadable unit without an assignment has no desired state; neither has a global unit", () => {
  new Bench().write({ "unit/a.service": "{", "global/g.service": "[]" }).both((view) => {
    const { units } = view.cluster();
    return ["a.service", "g.service"].map((name) => {
      const { hash, desiredState, requirements, unreadable } = units.get(name)!;
      return [hash, desiredState, requirements.global, unreadable !== undefined];
    });
  }, [["", "inactive", false, true], ["", "inactive", true, true]]);
});

Deno.test("an unreadable global unit has the desired state that its machines published", () => {
  new Bench().write({ "file/h": text, "global/g.service": "{", "state/m2/g.service": state }).both((view) => {
    const { hash, desiredState, requirements } = view.cluster().units.get("g.service")!;
    return [hash, desiredState, requirements.global, requirements.conflicts];
  }, ["h", "launched", true, ["b*"]]).write({ "state/m2/g.service": undefined })
    .both((view) => view.cluster().units.get("g.service")!.hash, "");
});

Deno.test("a later assignment sets the desired state of an unreadable unit", () => {
  new Bench().write({ "unit/a.service": "{" })
    .write({ "target/a.service": target, "assign/m1/a.service": orders })
    .both((view) => view.cluster().units.get("a.service")!.hash, "h");
});

Deno.test("an unreadable target has the machine of the assignment, in either order of writes", () => {
  const look = (view: ClusterView) => {
    const { machine, revision, unreadable } = view.cluster().targets.get("a.service")!;
    return [machine, revision, unreadable !== undefined];
  };
  new Bench().write({ "assign/m1/a.service": orders, "target/a.service": "{" }).both(look, ["m1", 1, true]);
  new Bench().write({ "target/a.service": "{", "assign/m1/a.service": orders }).both(look, ["m1", 1, true]);
  new Bench().write({ "target/a.service": "{", "assign/m1/a.service": "{" }).both(look, ["m1", 1, true]);
  new Bench().write({ "target/a.service": "{" }).both(look, ["", 1, true]);
  new Bench().write({ "target/a.service": "{", "assign/m1/a.service": orders })
    .write({ "assign/m1/a.service": undefined, "assign/m2/a.service": orders }).both(look, ["m2", 1, true]);
});

Deno.test("an unreadable key neither hides nor deletes a readable record under another key", () => {
  const look = (view: ClusterView) => {
    const { units, assignments } = view.cluster();
    const [job, global] = [units.get("a.service")!, units.get("g.service")!];
    return [job.unreadable, job.requirements.global, global.unreadable, global.requirements.global]
      .concat(assignments.get("a.service")!.machine);
  };
  const expected = [undefined, false, undefined, true, "m1"];
  const strays = ["global/a.service", "unit/g.service", "assign/m2/a.service", "assign/m0/a.service"];
  const stray = (value: string | undefined) => Object.fromEntries(strays.map((key) => [key, value]));
  const all = { "unit/a.service": unit(), "global/g.service": global, "assign/m1/a.service": orders };
  new Bench().write({ ...all, ...stray("{") }).both(look, expected);
  new Bench().write(all).write(stray("{")).both(look, expected).write(stray(undefined)).both(look, expected);
  new Bench().write(stray("{")).write(all).both(look, expected);
});

Deno.test("after the readable record is deleted, the unreadable one remains", () => {
  new Bench().write({ "unit/a.service": unit(), "global/a.service": "{" }).write({ "unit/a.service": undefined })
    .both((view) => view.cluster().units.get("a.service")?.requirements.global, true)
    .write({ "global/a.service": undefined })
    .both((view) => view.cluster().units.size, 0);
});

Deno.test("a machine with an unreadable record is present, with its dynamic metadata", () => {
  new Bench().write({ "machine/m1": record, "metadata/m1/disk": "ssd" }).write({ "machine/m1": "{" }).both((view) => {
    const found = view.cluster().machines.get("m1")!;
    assert.match(found.unreadable!, why("machine/m1"));
    return [found.ip, found.metadata];
  }, ["", { disk: "ssd" }]).write({ "machine/m1": record }).both((view) => {
    const { unreadable, metadata } = view.cluster().machines.get("m1")!;
    return [unreadable, metadata];
  }, [undefined, { zone: "a", disk: "ssd" }]).write({ "machine/m1": undefined })
    .both((view) => view.cluster().machines.size, 0);
});

Deno.test("an unreadable leader is a leader; an unreadable state is no state", () => {
  new Bench().write({ leader: codec.encodeLeader({ machine: "m1", version: "2" }), "state/m1/a.service": state })
    .write({ leader: "{", "state/m1/a.service": "{" })
    .both((view) => [view.cluster().leader?.machine, view.cluster().states.size], ["", 0])
    .write({ leader: undefined, "state/m1/a.service": state })
    .both((view) => [view.cluster().leader, view.cluster().states.size], [undefined, 1]);
});

Deno.test("a repaired value leaves no trace of the unreadable one", () => {
  const all = {
    ...{ "unit/a.service": unit(), "global/g.service": global, "target/a.service": target, "machine/m1": record },
    ...{ "assign/m1/a.service": orders, "state/m1/a.service": state },
  };
  const spoilt = Object.fromEntries(Object.keys(all).map((key) => [key, "{"]));
  const bench = new Bench().write(all).write(spoilt).write(all);
  const undisturbed = new Bench().write(all).write({}).write(all);
  bench.both((view) => view.cluster(), undisturbed.view.cluster());
});

Deno.test("an unreadable value is logged once a revision, also after the view was emptied and filled again", () => {
  const bench = new Bench().write({ "unit/a.service": "{" }).reread().reread();
  assert.equal(bench.logged.length, 1);
  assert.match(bench.logged[0]!, /^warn cannot read key unit\/a.service: it is not JSON/);
  bench.emptied().reread();
  assert.equal(bench.logged.length, 1);
  bench.write({ "unit/a.service": "{" });
  assert.equal(bench.logged.length, 2);
});

Deno.test("a key that is not fleet's is logged once, however often it is written", () => {
  const bench = new Bench();
  for (let round = 0; round < 3; round++) bench.write({ "foreign/key": `${round}` }).reread();
  assert.equal(bench.logged.length, 1);
  for (let key = 0; key < 1_000; key++) bench.write({ [`foreign/${key}`]: "" });
  assert.equal(bench.logged.length, 101, "keys without end do not fill the log");
});

Deno.test("a unit without a target is where its assignment says, until its target is written or its assignment deleted", () => {
  const machineOf = (view: ClusterView) => view.cluster().targets.get("a.service")?.machine;
  const bench = new Bench().write({
    "unit/a.service": unit(),
    "assign/m1/a.service": orders,
    "target/a.service": target,
  });
  bench.write({ "target/a.service": undefined }).both(machineOf, "m1");
  bench.both((view) => view.cluster().targets.get("a.service")?.revision, 0);
  bench.write({ "assign/m1/a.service": undefined, "assign/m2/a.service": orders }).both(machineOf, "m2");
  bench.write({ "target/a.service": target }).both(machineOf, "m1");
  bench.write({ "target/a.service": undefined, "assign/m2/a.service": undefined }).both(machineOf, undefined);
});
