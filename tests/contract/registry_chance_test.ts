/**
 * A property test: daemons share a store over connections that randomly lose responses, delay writes and fail. The
 * reported outcome of each change is true, and stays true.
 */

import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import fc from "fast-check";
import { systemClock } from "../../daemon/host/system_clock.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ClusterRegistry } from "../../registry/cluster_registry.ts";
import { ConflictError, OutcomeUnknownError, StoreUnavailableError, type UnitRecord } from "../../registry/mod.ts";
import { openSqliteStore } from "../../registry/store/sqlite.ts";
import type { Op, Store } from "../../registry/store/port.ts";
import "../support/property_seed.ts";
import { between, fixtureOver, put } from "./registry_fixture.ts";

/** The reported outcome of a change. */
type Said = "done" | "conflict" | "unavailable" | "settled" | "unsettled";

const names = ["a.service", "b.service", "c.service"];

/** The probability of each fault for one transaction. */
const chance = { answerLost: 0.06, heldBack: 0.06, notSent: 0.02, readFails: 0.03 } as const;

class World {
  /** The number of writes of each text, piece of metadata and unit's restart. */
  readonly #written = new Map<string, number>();
  /** Values that must not be written any more. */
  readonly #over = new Set<string>();
  readonly #restarts = new Map<string, { least: number; most: number }>();
  readonly #late: (() => Promise<unknown>)[] = [];
  readonly problems: string[] = [];
  /** The number of changes by reported outcome. */
  readonly count: Record<Said, number> = { done: 0, conflict: 0, unavailable: 0, settled: 0, unsettled: 0 };
  /** True while faults are injected. */
  rough = false;
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** Counts turns of the event loop as time, so that runs are short and repeatable by their seed. */
  readonly clock: Clock = {
    ...systemClock,
    random: () => this.random(),
    sleep: (duration_ms, signal) => this.#turns(Math.ceil(duration_ms / 150), signal),
  };

  random(): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return this.#state / 2 ** 32;
  }

  pick<T>(of: readonly T[]): T {
    return of[Math.floor(this.random() * of.length)]!;
  }

  wrap = (store: Store): Store =>
    between(store, {
      read: async (ranges) => {
        await this.#turns(this.random() * 4);
        if (this.rough && this.random() < chance.readFails) throw new StoreUnavailableError("the read failed");
        return await store.read(ranges);
      },
      transact: async (compares, ops) => {
        const carryOut = async () => {
          const result = await store.transact(compares, ops);
          if (result.succeeded) { for (const op of ops) this.#note(op); }
          return result;
        };
        await this.#turns(this.random() * 4);
        if (this.random() < 0.2) await this.#late.shift()?.();
        const luck = this.rough ? this.random() : 1;
        const held = luck < chance.heldBack;
        const lost = luck < chance.heldBack + chance.answerLost;
        if (!lost && luck < chance.heldBack + chance.answerLost + chance.notSent) {
          throw new StoreUnavailableError("it was not sent");
        }
        if (!lost) return await carryOut();
        if (held) this.#late.push(carryOut);
        else await carryOut();
        await this.#turns(this.random() * 10);
        throw new OutcomeUnknownError("the answer was lost", false);
      },
    });

  /** Delivers all delayed writes. */
  async end(): Promise<void> {
    for (const carryOut of this.#late) await carryOut();
    for (const [name, { least, most }] of this.#restarts) {
      const written = this.#written.get(name) ?? 0;
      if (written < least || written > most) {
        this.problems.push(`${name} was restarted ${written} times, and said to be ${least} to ${most} times`);
      }
    }
  }

  said(what: string, said: Said, isRestart: boolean): void {
    this.count[said]++;
    if (isRestart) {
      const { least, most } = this.#restarts.get(what) ?? { least: 0, most: 0 };
      const [mustBe, mayBe] = [said === "done", said === "done" || said === "settled" || said === "unsettled"];
      this.#restarts.set(what, { least: least + Number(mustBe), most: most + Number(mayBe) });
      return;
    }
    const written = this.#written.get(what) ?? 0;
    const expected = { done: [1], conflict: [0], unavailable: [0], settled: [0, 1], unsettled: [0, 1] }[said];
    if (!expected.includes(written)) this.problems.push(`${what} is ${said}, and was written ${written} times`);
    if (said !== "unsettled") this.#over.add(what);
  }

  #note(op: Op): void {
    if (!("put" in op)) return;
    const [kind, ...rest] = op.put.split("/");
    const isRestart = kind === "unit" && op.value.includes('"restart":"now"');
    const what = isRestart ? rest.join("/") : kind === "file" || kind === "metadata" ? op.value : undefined;
    if (what === undefined) return;
    this.#written.set(what, (this.#written.get(what) ?? 0) + 1);
    if (this.#over.has(what)) this.problems.push(`${what} was written late`);
  }

  async #turns(count: number, signal?: AbortSignal): Promise<void> {
    for (let turn = 0; turn < count && !signal?.aborted; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Makes changes through one daemon, one after the other, some of them based on an outdated read. */
async function operate(world: World, registry: ClusterRegistry, operator: string): Promise<void> {
  const glimpsed = new Map<string, UnitRecord>();
  for (let at = 0; at < 12; at++) {
    const what = `${operator}'s ${at}`;
    const name = world.pick(names);
    const operation = world.pick(["metadata", "text", "text", "restart", "restart", "destroy"]);
    const commit = async (change: Parameters<ClusterRegistry["commit"]>[0], subject: string, isRestart = false) =>
      world.said(subject, await outcome(registry.commit(change)), isRestart);
    if (operation === "metadata") {
      await commit({ kind: "metadata", machine: "m1", key: world.pick(["k1", "k2", "k3"]), value: what }, what);
      continue;
    }
    const stale = world.random() < 0.3 ? glimpsed.get(name) : undefined;
    const was = stale ?? await registry.unit(name).catch(unlessAway);
    if (was === undefined) continue;
    glimpsed.set(name, was);
    if (operation === "text" || !was.unit) await commit(put(was, "launched", { text: what }), what);
    else if (operation === "restart") await commit(put(was, "launched", { restart: true }), name, true);
    else await outcome(registry.commit({ kind: "delete", was }));
  }
}

function unlessAway(error: unknown): undefined {
  if (!(error instanceof StoreUnavailableError)) throw error;
}

async function outcome(commit: Promise<unknown>): Promise<Said> {
  try {
    await commit;
    return "done";
  } catch (error) {
    if (error instanceof ConflictError) return "conflict";
    if (error instanceof OutcomeUnknownError) return error.settled ? "settled" : "unsettled";
    if (error instanceof StoreUnavailableError) return "unavailable";
    throw error;
  }
}

Deno.test("whatever is lost, held back or not sent, what is said of a change is so", async () => {
  const count: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(fc.integer(), async (seed) => {
      const world = new World(seed);
      const store = openSqliteStore({ path: ":memory:" });
      const fixture = fixtureOver(() => Promise.resolve(between(store, { close: () => Promise.resolve() })));
      try {
        const daemons: ClusterRegistry[] = [];
        // The first two writers have the same name, and so the same fence.
        for (const writer of ["fleetctl", "fleetctl", "m1"]) {
          daemons.push(await fixture.open({ writer, clock: world.clock, wrap: world.wrap }));
        }
        world.rough = true;
        await Promise.all(
          daemons.flatMap((daemon, at) => [1, 2, 3].map((operator) => operate(world, daemon, `${at}.${operator}`))),
        );
        await world.end();
        assert.deepEqual(world.problems, []);
        for (const [said, times] of Object.entries(world.count)) count[said] = (count[said] ?? 0) + times;
      } finally {
        await fixture.close();
        await store.close();
      }
    }),
    { numRuns: 20 },
  );
  for (const [said, times] of Object.entries(count)) assert.ok(times > 0, `nothing was ${said}`);
});
