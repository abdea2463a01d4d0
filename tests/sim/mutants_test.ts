/**
 * The simulator finds deliberate bugs, one for each invariant. The bugs are put into ports of the daemon from outside.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type Leadership, OutcomeUnknownError, type Registry, StoreUnavailableError } from "../../registry/mod.ts";
import type { Cluster, MachineView } from "../../registry/model.ts";
import { parseKey } from "../../registry/schema/keys.ts";
import type { Store } from "../../registry/store/port.ts";
import type { Systemd } from "../../systemd/port.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import type { DaemonFaults } from "./daemon.ts";
import type { Invariant } from "./violation.ts";
import { planOf } from "./plan.ts";
import { run, shrink } from "./run.ts";
import { optionsOf } from "./units.ts";
import { versionOn } from "../../daemon/policy/globals.ts";

/** Returns an object that is `inner` except for some of its properties. */
function instead<T extends object>(inner: T, changed: Partial<T>): T {
  return new Proxy(inner, {
    get(target, name) {
      const value = name in changed ? changed[name as keyof T] : target[name as keyof T];
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** A store in which a unit that moves keeps its assignment to the machine it leaves. */
const forgetful = (store: Store): Store =>
  instead(store, {
    transact: (compares, ops) => {
      const moves = ops.some((op) => "put" in op && parseKey(op.put)?.kind === "target");
      const kept = ops.filter((op) => !moves || "put" in op || parseKey(op.delete)?.kind !== "assign");
      return store.transact(compares, kept);
    },
  });

/** A store in which the second copy of a unit that moves is never withdrawn. */
const doubling = (store: Store): Store =>
  instead(store, {
    transact: (compares, ops) =>
      store.transact(compares, ops.filter((op) => "put" in op || parseKey(op.delete)?.kind !== "successor")),
  });

async function* changed<T>(views: AsyncIterable<T>, change: (view: T) => T): AsyncIterable<T> {
  for await (const view of views) yield change(view);
}

/** A store that reports a transaction without an answer as done. */
function hopeful(store: Store): Store {
  let revision = 0;
  return instead(store, {
    read: async (ranges) => {
      const snapshot = await store.read(ranges);
      revision = Math.max(revision, snapshot.revision);
      return snapshot;
    },
    transact: async (compares, ops) => {
      try {
        const done = await store.transact(compares, ops);
        revision = Math.max(revision, done.revision);
        return done;
      } catch (error) {
        if (!(error instanceof OutcomeUnknownError)) throw error;
        return { succeeded: true, revision };
      }
    },
  });
}

/** A store that reports a transaction without an answer as not done. */
const pessimistic = (store: Store): Store =>
  instead(store, {
    transact: async (compares, ops) => {
      try {
        return await store.transact(compares, ops);
      } catch (error) {
        throw error instanceof OutcomeUnknownError ? new StoreUnavailableError(error.message) : error;
      }
    },
  });

/** A registry whose agents take every tenth view for complete although it has no assignments. */
function incomplete(registry: Registry): Registry {
  let count = 0;
  const lose = (view: MachineView) =>
    ++count % 10 === 0 ? { ...view, assignments: new Map(), globals: new Map() } : view;
  return instead(registry, {
    watchMachine: (machine, signal) => changed(registry.watchMachine(machine, signal), lose),
  });
}

/** A registry whose engine sees no conflicts and no metadata requirements. */
function careless(registry: Registry): Registry {
  const strip = (cluster: Cluster): Cluster => ({
    ...cluster,
    units: new Map([...cluster.units].map(([name, unit]) => {
      const requirements = { ...unit.requirements, conflicts: [], machineMetadata: new Map() };
      return [name, { ...unit, requirements }];
    })),
  });
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), strip) });
}

/** A registry whose engine sees no reservations. */
function boundless(registry: Registry): Registry {
  const strip = (cluster: Cluster): Cluster => ({
    ...cluster,
    units: new Map([...cluster.units].map(([name, unit]) => {
      const requirements = { ...unit.requirements, reservation: undefined, expected: undefined };
      return [name, { ...unit, requirements }];
    })),
  });
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), strip) });
}

/** A systemd that reports half of the stops as done without carrying them out. */
function deaf(systemd: Systemd): Systemd {
  let count = 0;
  return instead(systemd, {
    stop: (name) => ++count % 2 ? Promise.resolve({ unit: name, done: Promise.resolve("done") }) : systemd.stop(name),
    uninstall: () => Promise.resolve(new Map()),
  });
}

/** A systemd whose units seem to change their state whenever the agent looks. */
function restless(systemd: Systemd): Systemd {
  let count = 0;
  return instead(systemd, {
    statuses: async (names) => {
      const statuses = await systemd.statuses(names);
      return new Map([...statuses].map(([name, status]) => [name, { ...status, since_ms: ++count }]));
    },
  });
}

/** A registry that gives every machine the lock of every unit. */
const unlocked = (registry: Registry): Registry =>
  instead(registry, {
    join: async (machine, lease, signal) => {
      const membership = await registry.join(machine, lease, signal);
      const locks = instead(membership.locks, { take: () => Promise.resolve({ kind: "locked" }) });
      return instead(membership, { locks });
    },
  });

/** A registry whose engine takes every unit for running as desired. */
function optimistic(registry: Registry): Registry {
  const assume = (cluster: Cluster): Cluster => ({
    ...cluster,
    states: new Map([...cluster.states].map(([name, states]) => {
      const unit = cluster.units.get(name);
      const { restart = 0 } = unit ?? {};
      const hashOn = (id: string) => unit ? versionOn(unit, id).hash : "";
      const running = {
        restart,
        commanded: "launched",
        active: "active",
        sub: "running",
        since_ms: 1,
        settled: 1,
      } as const;
      return [
        name,
        new Map([...states].map(([id, { unit, machine, load }]) => {
          return [id, { unit, machine, load, ...running, hash: hashOn(id) }];
        })),
      ];
    })),
  });
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), assume) });
}

/** A registry whose engine takes a roll-out for one that may change ten instances at once. */
function hasty(registry: Registry): Registry {
  const hurry = (cluster: Cluster): Cluster => {
    if (!cluster.rollouts) return cluster;
    return {
      ...cluster,
      rollouts: new Map([...cluster.rollouts].map(([app, each]) => [app, { ...each, maxParallel: 10 }])),
    };
  };
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), hurry) });
}

/** A registry whose leaders update roll-outs by `update`. */
function updating(
  registry: Registry,
  update: (inner: Leadership["updateRollout"]) => Leadership["updateRollout"],
): Registry {
  return instead(registry, {
    async *campaign(machine, version, signal) {
      for await (const leadership of registry.campaign(machine, version, signal)) {
        yield instead(leadership, { updateRollout: update((step) => leadership.updateRollout(step)) });
      }
    },
  });
}

/** A registry whose leaders give units another file than that of the roll-out. */
const misfiled = (registry: Registry): Registry =>
  updating(registry, (inner) => (step) =>
    inner({
      ...step,
      units: (step.units ?? []).map((change) => {
        if (change.kind === "delete" || !change.file) return change;
        const text = serializeUnitFile(optionsOf(change.was.name, 7));
        return { ...change, file: { hash: hashUnitFile(text), text, fleetOptions: change.file.fleetOptions } };
      }),
    }));

/** A registry whose leaders change a global unit on all machines of the cluster at once. */
const sweeping = (registry: Registry): Registry =>
  updating(registry, (inner) => async (step) => {
    const machines = [...(await registry.read()).machines.keys()];
    return await inner({
      ...step,
      units: (step.units ?? []).map((change) =>
        change.kind === "put" && change.next ? { ...change, next: { ...change.next, machines } } : change
      ),
    });
  });

/** A registry whose leaders cannot write anything about roll-outs. */
const stuck = (registry: Registry): Registry => updating(registry, () => () => Promise.resolve(undefined));

/** A registry whose leaders move every unit at once, without a second copy. */
const abrupt = (registry: Registry): Registry =>
  instead(registry, {
    async *campaign(machine, version, signal) {
      for await (const leadership of registry.campaign(machine, version, signal)) {
        const apply: Leadership["apply"] = (steps) =>
          leadership.apply(steps.map((step) => step.kind === "prepare" ? { ...step, kind: "place" } : step));
        yield instead(leadership, { apply });
      }
    },
  });

/** A registry whose engine sees no cordons: units move from one machine that is drained to another, and back. */
function restive(registry: Registry): Registry {
  const strip = (cluster: Cluster): Cluster => ({
    ...cluster,
    machines: new Map([...cluster.machines].map(([id, { cordon: _cordon, ...machine }]) => [id, machine])),
  });
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), strip) });
}

/** A registry whose engine sees another deadline of each drain that has one. */
function untimely(registry: Registry, deadlineAt_ms: number): Registry {
  const change = (cluster: Cluster): Cluster => ({
    ...cluster,
    ...cluster.drains && {
      drains: new Map([...cluster.drains].map(([id, drain]) => {
        return [id, drain.deadlineAt_ms === undefined ? drain : { ...drain, deadlineAt_ms }];
      })),
    },
  });
  return instead(registry, { watch: (signal) => changed(registry.watch(signal), change) });
}

/** A deliberate bug, and the first seed that is tried. */
interface Mutant {
  readonly invariant: Invariant;
  readonly bug: string;
  readonly faults: DaemonFaults;
  readonly seed: number;
}

const mutants: readonly Mutant[] = [
  { invariant: "one machine", bug: "a move leaves the old assignment", faults: { store: forgetful }, seed: 1 },
  {
    invariant: "do no harm",
    bug: "an incomplete view is taken for complete",
    faults: { registry: incomplete },
    seed: 2,
  },
  {
    invariant: "acknowledged survives",
    bug: "a lost answer is taken for success",
    faults: { store: hopeful },
    seed: 10,
  },
  {
    invariant: "refused never happens",
    bug: "a lost answer is taken for failure",
    faults: { store: pessimistic },
    seed: 1,
  },
  { invariant: "settles", bug: "a stop is not carried out", faults: { systemd: deaf }, seed: 1 },
  { invariant: "settles", bug: "second copies stay", faults: { store: doubling }, seed: 9 },
  { invariant: "constraints", bug: "the engine sees no conflicts", faults: { registry: careless }, seed: 44 },
  { invariant: "no overcommit", bug: "the engine sees no reservations", faults: { registry: boundless }, seed: 1 },
  { invariant: "no storm", bug: "states seem to change all the time", faults: { systemd: restless }, seed: 1 },
  { invariant: "one copy", bug: "each machine has the lock", faults: { registry: unlocked }, seed: 18 },
  { invariant: "healthy first", bug: "each unit is taken for healthy", faults: { registry: optimistic }, seed: 11 },
  { invariant: "one batch", bug: "MaxParallel= is ignored", faults: { registry: hasty }, seed: 1 },
  { invariant: "one batch", bug: "a global unit changes everywhere", faults: { registry: sweeping }, seed: 1 },
  { invariant: "old or new", bug: "a step writes another file", faults: { registry: misfiled }, seed: 1 },
  { invariant: "moves", bug: "no second copy runs", faults: { registry: abrupt }, seed: 22 },
  { invariant: "moves", bug: "the engine sees no cordons", faults: { registry: restive }, seed: 25 },
  {
    invariant: "moves",
    bug: "each deadline of a drain counts as over",
    faults: { registry: (registry) => untimely(registry, 1) },
    seed: 23,
  },
  {
    invariant: "moves",
    bug: "the deadline of a drain never comes",
    faults: { registry: (registry) => untimely(registry, Infinity) },
    seed: 29,
  },
  { invariant: "ends", bug: "no step of a roll-out is written", faults: { registry: stuck }, seed: 1 },
];

/** A change of the product may make a bug show itself with another seed: so many are tried. */
const tried = 40;

for (const { invariant, bug, faults, seed: first } of mutants) {
  Deno.test(`simulation: a deliberate bug breaks "${invariant}": ${bug}`, async () => {
    for (let seed = first; seed < first + tried; seed++) {
      const { violation } = await run(seed, { faults });
      if (violation?.invariant !== invariant) continue;
      assert.equal((await run(seed)).violation, undefined, "the seed breaks an invariant without the bug as well");
      return;
    }
    assert.fail(`no seed from ${first} to ${first + tried - 1} breaks "${invariant}"`);
  });
}

Deno.test("simulation: a seed that breaks an invariant is shrunk to a plan that breaks it as well", async () => {
  const faults = { registry: incomplete };
  const seed = 2;
  const plan = planOf(seed);
  const { violation } = await run(seed, { faults });
  assert.equal(violation?.invariant, "do no harm");
  const shortest = await shrink(seed, plan, { faults }, 30);
  assert.ok(shortest.actions.length < plan.actions.length / 2, `${shortest.actions.length} actions are left`);
  const again = await run(seed, { plan: shortest, faults });
  assert.equal(again.violation?.invariant, "do no harm");
});
