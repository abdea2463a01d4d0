import assert from "node:assert/strict";
import type { Cluster } from "../../registry/model.ts";
import type { Leadership, LossStep, Placement, Registry } from "../../registry/mod.ts";
import { Notifier } from "../../runtime/notifier.ts";
import { ManualClock } from "../../tests/support/manual_clock.ts";
import { SimulatedCluster } from "../../tests/scheduling/scenarios/scenario.ts";
import { runEngine } from "./engine.ts";
import { gracePeriods } from "./grace_periods.ts";

/** An engine that leads a simulated cluster whose store carries out every step. */
class Scene implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly cluster = new SimulatedCluster();
  readonly steps: (LossStep | Placement)[] = [];
  readonly logged: string[] = [];
  /** The machines that the engine waits for, and the units that wait for a machine. */
  waits: readonly number[] = [];
  #revision = 1;
  readonly #changed = new Notifier();
  #engine: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  #loss: { readonly machines: readonly string[]; isOver: boolean } | undefined;

  /** Six machines, each with a unit. */
  constructor() {
    for (const id of ["m1", "m2", "m3", "m4", "m5", "m6"]) this.cluster.machine(id, {});
    for (const id of ["a", "b", "c", "d", "e", "f"]) this.cluster.unit(`${id}.service`, "launched", []);
  }

  /** Makes a change visible to the engine, and lets it react. */
  async change(change: (cluster: SimulatedCluster) => void): Promise<void> {
    change(this.cluster);
    this.#changed.notify();
    await ManualClock.settle();
  }

  async pass(duration_ms: number): Promise<void> {
    const step_ms = Math.max(500, duration_ms / 10);
    for (let passed_ms = 0; passed_ms < duration_ms; passed_ms += step_ms) {
      this.clock.advance(step_ms);
      await ManualClock.settle();
    }
  }

  /** The wait ends, as its lease does in the store. */
  async endWait(): Promise<void> {
    this.#loss!.isOver = true;
    await this.change(() => {});
  }

  /** The units that have moved, with the reasons. */
  get moves(): string[] {
    return this.steps.flatMap((step) => step.kind === "place" && step.from ? [`${step.unit.name}: ${step.why}`] : []);
  }

  get losses(): string[] {
    return this.steps.flatMap((step) =>
      step.kind === "await" || step.kind === "give up"
        ? [`${step.kind} ${step.machines.join(" ")}`]
        : step.kind === "resume"
        ? ["resume"]
        : []
    );
  }

  #view(): Cluster {
    const view = this.cluster.cluster();
    const record = this.#loss && { ...this.#loss, since_ms: 0, until_ms: 300_000, revision: 1 };
    return { ...view, revision: this.#revision, ...(record && { massLoss: record }) };
  }

  /** Begins a term of leadership; the one before ends. */
  async lead(): Promise<void> {
    await this.#end();
    const stop = new AbortController();
    const { signal } = stop;
    const changed = this.#changed;
    const view = () => this.#view();
    const leadership = {
      signal,
      apply: (placements: readonly Placement[]) => {
        this.steps.push(...placements);
        this.cluster.apply(placements);
        changed.notify();
        return Promise.resolve({ revision: ++this.#revision, refused: [] });
      },
      recordLoss: (step: LossStep) => {
        this.steps.push(step);
        if (step.kind === "await") this.#loss = { machines: step.machines, isOver: this.#loss?.isOver ?? false };
        else this.#loss = undefined;
        if (step.kind === "give up") { for (const id of step.machines) this.cluster.departs(id, "lost"); }
        changed.notify();
        return Promise.resolve(++this.#revision);
      },
      resign: () => Promise.resolve(),
    } as unknown as Leadership;
    const registry = {
      awayUntil_ms: 0,
      async *campaign() {
        yield await Promise.resolve(leadership);
      },
      async *watch(signal: AbortSignal) {
        while (!signal.aborted) {
          const seen = changed.count;
          yield view();
          await changed.waitPast(seen, signal);
        }
      },
    } as unknown as Registry;
    const ended = runEngine({
      ...{ registry, machine: "m1", version: "2.0.0", clock: this.clock, safetyNet_ms: 60_000 },
      log: (level, message) => level === "warn" && this.logged.push(message),
      observer: { round: () => {}, leading: () => {}, applied: () => {}, waits: (...counts) => this.waits = counts },
      ...gracePeriods(30_000, { share: 0.5, grace_s: 300 }),
    }, signal);
    this.#engine = { stop, ended };
    await ManualClock.settle();
  }

  async #end(): Promise<void> {
    this.#engine?.stop.abort();
    await this.#engine?.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#end();
  }
}

/** A scene whose units run, and whose engine has led for a while. */
async function settled(): Promise<Scene> {
  const scene = new Scene();
  await scene.lead();
  await scene.pass(15_000);
  assert.equal(scene.cluster.targets.size, 6);
  assert.deepEqual(scene.moves, []);
  return scene;
}

const lost = (...ids: string[]) => (cluster: SimulatedCluster) => ids.forEach((id) => cluster.gone(id));
const back = (...ids: string[]) => (cluster: SimulatedCluster) => ids.forEach((id) => cluster.machine(id, {}));

Deno.test("the units of a single lost machine move after the short grace", async () => {
  await using scene = await settled();
  await scene.change(lost("m6"));
  await scene.pass(1_500);
  assert.deepEqual(scene.moves, []);
  await scene.pass(1_000);
  assert.equal(scene.moves.length, 1);
  assert.deepEqual(scene.losses, []);
});

Deno.test("machines whose leases end one after the other within a third of their time are one loss", async () => {
  await using scene = await settled();
  for (const id of ["m3", "m4", "m5", "m6"]) {
    await scene.change(lost(id));
    await scene.pass(1_500);
  }
  assert.deepEqual(scene.losses, ["await m3 m4 m5 m6"]);
  assert.deepEqual(scene.waits, [4, 4]);
  await scene.pass(200_000);
  assert.deepEqual(scene.moves, [], "no unit moves during the wait");
  assert.match(scene.logged.join("\n"), /4 of 6 machines were lost at once: their units stay where they are until/);
  await scene.change(back("m3", "m4"));
  await scene.pass(10_000);
  assert.deepEqual(scene.moves, [], "nor after some of them are back");
  await scene.change(back("m5", "m6"));
  assert.deepEqual(scene.losses.slice(1), ["resume"]);
  assert.deepEqual([scene.moves.length, scene.waits], [0, [0, 0]]);
});

Deno.test("after the wait the units of the machines that are still missing move", async () => {
  await using scene = await settled();
  await scene.change(lost("m3", "m4", "m5", "m6"));
  await scene.pass(20_000);
  await scene.change(back("m3"));
  await scene.endWait();
  assert.deepEqual(scene.losses, ["await m3 m4 m5 m6", "give up m4 m5 m6"]);
  assert.deepEqual(scene.moves.length, 3);
  assert.match(scene.logged.at(-1)!, /wait for the machines that were lost at once is over/);
});

Deno.test("a new leader goes on with the wait, and ends it", async () => {
  await using scene = await settled();
  await scene.change(lost("m3", "m4", "m5", "m6"));
  await scene.pass(20_000);
  await scene.lead();
  await scene.pass(100_000);
  assert.deepEqual([scene.losses, scene.moves], [["await m3 m4 m5 m6"], []]);
  await scene.endWait();
  assert.deepEqual(scene.losses.slice(1), ["give up m3 m4 m5 m6"]);
  assert.equal(scene.moves.length, 4);
  await scene.lead();
  await scene.pass(100_000);
  assert.deepEqual(scene.losses.length, 2, "a leader after that begins no other wait for the same machines");
});

Deno.test("an engine that takes over from a leader that was lost with others waits for all of them", async () => {
  await using scene = await settled();
  lost("m3", "m4", "m5", "m6")(scene.cluster);
  await scene.lead();
  await scene.pass(30_000);
  assert.deepEqual([scene.losses, scene.moves], [["await m3 m4 m5 m6"], []]);
});

Deno.test("half of the machines may be lost without a wait, once all leases of that loss have expired", async () => {
  await using scene = await settled();
  await scene.change(lost("m4", "m5", "m6"));
  await scene.pass(10_000);
  assert.deepEqual(scene.moves, []);
  await scene.pass(2_000);
  assert.deepEqual([scene.losses, scene.moves.length], [[], 3]);
});
