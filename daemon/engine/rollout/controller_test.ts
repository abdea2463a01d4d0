import assert from "node:assert/strict";
import type { Leadership, Placement, Registry, RolloutUpdate } from "../../../registry/mod.ts";
import type { Cluster } from "../../../registry/model.ts";
import { changeTransaction, placementTransaction } from "../../../registry/writes/transactions.ts";
import { Notifier } from "../../../runtime/notifier.ts";
import { RolloutCluster } from "../../../tests/scheduling/rollouts/rollout_cluster.ts";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { runEngine } from "../engine.ts";
import { gracePeriods } from "../grace_periods.ts";
import { RolloutController } from "./controller.ts";

/** An engine that leads a cluster of two machines, on a clock that the test moves. */
class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly cluster = new RolloutCluster();
  readonly logged: string[] = [];
  rounds = 0;
  awayUntil_ms = 0;
  /** The next update is refused, as if another client had written in between. */
  refuses = false;
  readonly #changed = new Notifier();
  readonly #stop = new AbortController();
  readonly #ended: Promise<void>;

  private constructor() {
    this.cluster.changed = () => this.#changed.notify();
    for (const id of ["m1", "m2"]) this.cluster.machine(id);
    this.cluster.version("v1", "up", []);
    this.cluster.version("v2", "up", ["MinHealthyTime=5s"]);
    this.cluster.version("nowhere", "up", ["MachineMetadata=disk=ssd"]);
    this.cluster.version("hangs", "hangs", ["HealthyDeadline=20s"]);
    this.cluster.version("refused", "refused", []);
    for (const unit of ["web@1.service", "web@2.service"]) this.cluster.put(unit, "v1", "launched");
    this.#ended = this.#lead();
  }

  static async open(): Promise<Scene> {
    const scene = new Scene();
    await scene.settle();
    return scene;
  }

  #lead(): Promise<void> {
    const { cluster } = this;
    const leadership = {
      signal: this.#stop.signal,
      apply: (placements: readonly Placement[]) => {
        for (const placement of placements) cluster.transact(placementTransaction(placement, 0));
        return Promise.resolve({ revision: cluster.cluster.revision, refused: [] });
      },
      updateRollout: (update: RolloutUpdate) => {
        if (this.refuses) return Promise.resolve(this.refuses = false).then(() => undefined);
        return Promise.resolve(cluster.update(update));
      },
      resign: () => Promise.resolve(),
    } as unknown as Leadership;
    const changed = this.#changed;
    const awayUntil_ms = () => this.awayUntil_ms;
    const registry = {
      get awayUntil_ms() {
        return awayUntil_ms();
      },
      async *campaign() {
        yield await Promise.resolve(leadership);
      },
      async *watch(signal: AbortSignal): AsyncIterable<Cluster> {
        while (!signal.aborted) {
          const seen = changed.count;
          yield cluster.cluster;
          await changed.waitPast(seen, signal);
        }
      },
    } as unknown as Registry;
    return runEngine({
      ...{ registry, machine: "m1", version: "2.0.0", clock: this.clock, safetyNet_ms: 3_600_000 },
      log: (level, message) => level !== "debug" && this.logged.push(message),
      observer: { round: () => this.rounds++, leading: () => {}, applied: () => {}, waits: () => {} },
      ...gracePeriods(30_000, { share: 1, grace_s: 300 }),
    }, this.#stop.signal);
  }

  /** Lets engine and machines work until both rest. */
  async settle(): Promise<void> {
    for (let revision = -1; revision !== this.cluster.cluster.revision;) {
      await ManualClock.settle();
      revision = this.cluster.cluster.revision;
      this.cluster.runAgents();
      await ManualClock.settle();
    }
  }

  async pass(duration_ms: number): Promise<void> {
    this.clock.advance(duration_ms);
    this.cluster.now_ms += duration_ms;
    await this.settle();
  }

  begin(version: string, by = "anna"): void {
    const wanted = { version, desiredState: "launched" } as const;
    const changed = { by, at_ms: this.clock.now_ms(), what: "apply" };
    this.cluster.start("web", new Map([["web@1.service", wanted], ["web@2.service", wanted]]), { changed });
  }

  get progress(): string {
    const { status, steps } = this.cluster.rollout("web")!;
    return [...steps.map(({ state }) => state), status].join(" ");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

Deno.test("the engine goes on with a roll-out at changes and at the end of a time, and rests in between", async () => {
  await using scene = await Scene.open();
  scene.begin("v2");
  await scene.settle();
  assert.equal(scene.progress, "changing pending running");
  const { rounds } = scene;
  await scene.pass(4_999);
  assert.equal(scene.rounds, rounds, "nothing has changed");
  await scene.pass(1);
  assert.equal(scene.progress, "healthy changing running");
  await scene.pass(5_000);
  assert.equal(scene.progress, "healthy healthy done");
  assert.deepEqual(scene.cluster.cluster.apps?.get("web")?.versions.map(({ number }) => number), [1]);
  const ended = scene.rounds;
  scene.cluster.put("other.service", "v1", "inactive");
  await scene.settle();
  assert.ok(scene.rounds > ended);
  assert.deepEqual(scene.logged.filter((line) => line.startsWith("roll-out")), [
    ...["roll-out: changed", "roll-out: changed", "roll-out done"],
  ]);
});

Deno.test("the change of a unit has the author of the roll-out and the time of its own step", async () => {
  await using scene = await Scene.open();
  const changes = () =>
    ["web@1.service", "web@2.service"].map((name) => scene.cluster.cluster.units.get(name)?.changed);
  const start_ms = scene.clock.now_ms();
  scene.begin("v2");
  await scene.settle();
  await scene.pass(5_000);
  await scene.pass(5_000);
  assert.deepEqual(changes(), [start_ms, start_ms + 5_000].map((at_ms) => ({ by: "anna", at_ms, what: "apply" })));
  scene.begin("hangs", "bob");
  await scene.settle();
  await scene.pass(20_000);
  assert.deepEqual(changes()[0], { by: "bob", at_ms: start_ms + 30_000, what: "rollback" });
});

Deno.test("after a refusal, the engine looks again", async () => {
  await using scene = await Scene.open();
  scene.refuses = true;
  scene.begin("v2");
  await scene.settle();
  assert.equal(scene.progress, "pending pending running");
  scene.cluster.put("other.service", "v1", "inactive");
  await scene.settle();
  assert.equal(scene.progress, "changing pending running");
});

Deno.test("no time in which the store was away counts, neither for a deadline nor for health", async () => {
  await using scene = await Scene.open();
  scene.begin("hangs");
  await scene.settle();
  scene.awayUntil_ms = Infinity;
  await scene.pass(60_000);
  assert.equal(scene.progress, "changing pending running");
  scene.awayUntil_ms = scene.clock.monotonic_ms();
  scene.cluster.put("other.service", "v1", "inactive");
  await scene.settle();
  await scene.pass(19_999);
  assert.equal(scene.progress, "changing pending running");
  await scene.pass(1);
  assert.equal(scene.progress, "undoing pending rolling-back");
  await scene.pass(2_000);
  scene.awayUntil_ms = scene.clock.monotonic_ms();
  await scene.pass(1_000);
  assert.equal(scene.progress, "undoing pending rolling-back");
  await scene.pass(2_000);
  assert.equal(scene.progress, "undone pending rolled-back");
});

Deno.test("a new leader waits for machines that may rejoin before a unit that no machine takes has failed", async () => {
  await using scene = await Scene.open();
  // The grace period of a leader is a third of the lease of machines.
  await scene.pass(10_000 - 1);
  scene.begin("nowhere");
  await scene.settle();
  assert.equal(scene.progress, "changing pending running");
  await scene.pass(1);
  assert.equal(scene.progress, "undoing pending rolling-back");
});

Deno.test("that systemd refuses the file before says nothing about the new one", async () => {
  await using scene = await Scene.open();
  scene.begin("refused");
  await scene.settle();
  assert.equal(scene.progress, "undoing pending rolling-back");
  await scene.pass(3_000);
  assert.equal(scene.progress, "undone pending rolled-back");
  scene.cluster.put("web@1.service", "refused", "launched");
  await scene.settle();
  scene.begin("v2");
  await scene.settle();
  assert.equal(scene.progress, "changing pending running");
  await scene.pass(5_000);
  await scene.pass(5_000);
  assert.equal(scene.progress, "healthy healthy done");
});

Deno.test("a unit that became healthy again after a while gets its whole deadline when it fails once more", async () => {
  await using scene = await Scene.open();
  const { cluster } = scene;
  cluster.version("v2", "up", ["MinHealthyTime=70s"]);
  cluster.put("web@3.service", "v1", "launched");
  cluster.put("web@4.service", "v1", "launched");
  await scene.settle();
  const wanted = { version: "v2", desiredState: "launched" } as const;
  cluster.start("web", new Map([1, 2, 3, 4].map((at) => [`web@${at}.service`, wanted])));
  await scene.settle();
  await scene.pass(70_000);
  assert.equal(scene.progress, "healthy changing pending pending running");
  for (const [waits, goesOn] of [["pending pending", "changing pending"], ["healthy pending", "healthy changing"]]) {
    // systemd starts the first instance again just when the next batch is about to begin.
    cluster.restarting.add("web@1.service");
    await scene.settle();
    await scene.pass(70_000);
    assert.equal(scene.progress, `healthy healthy ${waits} running`);
    cluster.restarting.clear();
    await scene.settle();
    assert.equal(scene.progress, `healthy healthy ${goesOn} running`);
  }
});

Deno.test("a roll-out waits while the engine waits for machines that were lost at once", () => {
  const cluster = new RolloutCluster();
  cluster.machine("m1");
  cluster.version("v1", "up", []);
  cluster.start("web", new Map([["a.service", { version: "v1", desiredState: "launched" }]]));
  const controller = new RolloutController();
  const look = {
    cluster: cluster.cluster,
    unplaced: new Map(),
    now_ms: 0,
    wall_ms: 0,
    quietSince_ms: 0,
    isRejoining: false,
    arriving: new Set<string>(),
  };
  const massLoss = { machines: ["m2"], since_ms: 0, until_ms: 1, isOver: false, revision: 1 };
  const waiting = controller.decide({ ...look, cluster: { ...cluster.cluster, massLoss } });
  assert.deepEqual(waiting, { updates: [], wait_ms: Infinity });
  assert.equal(controller.decide(look).updates.length, 1);
});

Deno.test("a batch waits while a drain has stopped another instance of the template", () => {
  const cluster = new RolloutCluster();
  cluster.machine("m1");
  cluster.version("v1", "up", []);
  cluster.version("v2", "up", ["MinHealthyTime=0"]);
  cluster.version("hangs", "hangs", []);
  for (const unit of ["web@1.service", "web@2.service", "db.service"]) cluster.put(unit, "v1", "launched");
  cluster.put("web@3.service", "hangs", "launched");
  while (cluster.work().wait_ms === 0);
  const wanted = { version: "v2", desiredState: "launched" } as const;
  cluster.arriving.add("web@3.service");
  const names = ["web@1.service", "web@2.service", "db.service"];
  cluster.start("web", new Map(names.map((name) => [name, wanted])));
  while (cluster.work().wait_ms === 0);
  const states = () => cluster.rollout("web")!.steps.map(({ state }) => state);
  assert.deepEqual(states(), ["pending", "pending", "pending"]);
  cluster.put("web@3.service", "v1", "launched");
  while (cluster.work().wait_ms === 0);
  assert.deepEqual(states(), ["healthy", "healthy", "healthy"]);
});

Deno.test("a unit that is not healthy long after its drain does not hold up the roll-out that may repair it", async () => {
  await using scene = await Scene.open();
  const { cluster } = scene;
  const machine = cluster.cluster.targets.get("web@2.service")!.machine;
  cluster.restarting.add("web@2.service");
  const drain = { machine, maxParallel: 10, total: 1, status: "moving" } as const;
  cluster.transact(changeTransaction({ kind: "drain", drains: [{ machine, isCordoned: false, drain }], cordon: {} }));
  await scene.pass(10_000);
  assert.notEqual(cluster.cluster.targets.get("web@2.service")!.machine, machine);
  assert.equal(cluster.cluster.drains?.get(machine)?.status, "done");
  scene.begin("v2");
  await scene.settle();
  assert.equal(scene.progress, "pending pending running", "it may become healthy");
  await scene.pass(60_000);
  assert.equal(scene.progress, "changing pending running");
  await scene.pass(5_000);
  assert.equal(scene.progress, "healthy changing running");
});

Deno.test("an app without units is forgotten after a day, and one that has units again is kept", async () => {
  await using scene = await Scene.open();
  scene.begin("v2");
  await scene.settle();
  await scene.pass(5_000);
  await scene.pass(5_000);
  const [day_ms, names] = [24 * 3_600_000, ["web@1.service", "web@2.service"]];
  const destroy = async () => {
    for (const name of names) scene.cluster.destroy(name);
    await scene.settle();
  };
  await destroy();
  await scene.pass(day_ms - 1);
  scene.begin("v1");
  await scene.settle();
  await scene.pass(3_000);
  assert.equal(scene.progress, "healthy healthy done");
  await scene.pass(2 * day_ms);
  assert.equal(scene.cluster.cluster.apps?.get("web")?.versions.length, 2);
  await destroy();
  await scene.pass(day_ms - 1);
  assert.equal(scene.progress, "healthy healthy done");
  await scene.pass(1);
  assert.deepEqual([scene.cluster.cluster.apps, scene.cluster.cluster.rollouts], [undefined, undefined]);
});
