import assert from "node:assert/strict";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { SimulatedCluster } from "../../../tests/scheduling/scenarios/scenario.ts";
import type { Cluster } from "../../../registry/model.ts";
import type { Registry } from "../../../registry/mod.ts";
import { schedule } from "../../engine/schedule.ts";
import { EventBuffer, idle_ms, keepAlive_ms, type WakeReason } from "./event_buffer.ts";

/** A clock that jumps ahead by `hang_ms` after each reading, as if the process had hung. */
class HangingClock extends ManualClock {
  hang_ms = 0;

  override monotonic_ms(): number {
    this.advance(this.hang_ms);
    return super.monotonic_ms();
  }
}

/** A buffer over a registry whose views the test supplies, with one reader. */
class BufferFixture {
  readonly clock = new HangingClock();
  readonly buffer: EventBuffer;
  readonly woken: WakeReason[] = [];
  /** The number of callbacks registered on the promise of the next view, which stays pending while nothing changes. */
  callbacks = 0;
  readonly #closing = new AbortController();
  readonly #wake = (why: WakeReason) => void this.woken.push(why);
  #revision = 10;
  #next = Promise.withResolvers<IteratorResult<Cluster>>();

  constructor() {
    const watch = (signal: AbortSignal): AsyncIterable<Cluster> => {
      this.#expectView();
      signal.addEventListener("abort", () => this.#next.resolve({ done: true, value: undefined }));
      return { [Symbol.asyncIterator]: () => ({ next: () => this.#next.promise }) };
    };
    this.buffer = new EventBuffer(
      { watch } as Pick<Registry, "watch"> as Registry,
      this.clock,
      () => {},
      new Map(),
      this.#closing.signal,
    );
    this.join();
  }

  join(): void {
    this.buffer.join(this.#wake);
  }

  leave(): void {
    this.buffer.leave(this.#wake);
  }

  /** Delivers the next view; returns its revision. */
  async show(cluster: Cluster): Promise<number> {
    const { resolve } = this.#next;
    this.#expectView();
    const leader = { machine: "m1", version: "1.2.3" };
    resolve({ done: false, value: { ...cluster, revision: ++this.#revision, leader } as Cluster });
    await ManualClock.settle();
    return this.#revision;
  }

  async pass(duration_ms: number): Promise<void> {
    this.clock.advance(duration_ms);
    await ManualClock.settle();
  }

  /** Waits until the reasons of waiting units have been evaluated. */
  async settle(): Promise<void> {
    await this.pass(500);
  }

  /** The data of the events that a client gets that resumes at a revision; undefined if it has to begin with the present. */
  resumed(revision: number): string[] | undefined {
    const data: string[] = [];
    const first = this.buffer.resume({ revision });
    if (first === undefined) return undefined;
    for (let number = first; number < this.buffer.nextNumber; number++) {
      const batch = this.buffer.batch(number);
      assert.ok(typeof batch === "object");
      data.push(...batch.events.map((event) => event.data));
    }
    return data;
  }

  /** Counts the callbacks on this promise: each Promise.race() would leave one until the promise settles. */
  #expectView(): void {
    this.#next = Promise.withResolvers();
    const { promise } = this.#next;
    promise.then = (...callbacks) => {
      this.callbacks++;
      return Promise.prototype.then.apply(promise, callbacks) as never;
    };
  }

  [Symbol.dispose](): void {
    this.leave();
    this.#closing.abort();
  }
}

const onTape = [{ section: "X-Fleet", name: "MachineMetadata", value: "disk=tape" }];

Deno.test("a client that resumes learns that a unit no longer waits, although nothing has changed since", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  simulation.machine("m1", {});
  simulation.machine("m2", {});
  simulation.unit("a.service", "launched", [{ section: "X-Fleet", name: "MachineID", value: "m2" }]);
  simulation.apply(schedule(simulation.cluster()).placements);
  await fixture.show(simulation.cluster());
  await fixture.settle();
  simulation.gone("m2");
  await fixture.show(simulation.cluster());
  await fixture.settle();
  simulation.machine("m2", {});
  const back = await fixture.show(simulation.cluster());
  await fixture.settle();
  assert.match(fixture.resumed(back)!.join(), /"machineID":"m2","name":"a\.service"/);
});

Deno.test("a process that hung during an evaluation reports the next waiting unit within seconds", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  simulation.machine("m1", {});
  simulation.unit("a.service", "launched", onTape);
  await fixture.show(simulation.cluster());
  fixture.clock.hang_ms = 5_000;
  await fixture.settle();
  fixture.clock.hang_ms = 0;
  simulation.unit("b.service", "launched", onTape);
  const revision = await fixture.show(simulation.cluster());
  await fixture.pass(2_000);
  assert.match(fixture.resumed(revision)!.join(), /"name":"b\.service".*"waiting":true/);
});

Deno.test("changes without a reader are reported as one difference until the idle time is over", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  simulation.machine("m1", {});
  const seen = await fixture.show(simulation.cluster());
  fixture.leave();
  await fixture.pass(idle_ms - 1);
  fixture.join();
  await fixture.pass(1);
  simulation.unit("a.service", "inactive", []);
  await fixture.show(simulation.cluster());
  assert.match(fixture.resumed(seen)!.join(), /"name":"a\.service"/);
});

Deno.test("the view and the events are dropped when the idle time is over, and a reader begins with the present", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  simulation.machine("m1", {});
  const first = await fixture.show(simulation.cluster());
  simulation.unit("a.service", "inactive", []);
  const last = await fixture.show(simulation.cluster());
  const kept = fixture.buffer.nextNumber - 1;
  assert.equal(typeof fixture.buffer.batch(kept), "object");
  fixture.leave();
  await fixture.pass(idle_ms);
  assert.equal(fixture.buffer.batch(kept), "lost");
  fixture.join();
  simulation.unit("b.service", "inactive", []);
  const revision = await fixture.show(simulation.cluster());
  assert.equal(fixture.resumed(first), undefined);
  assert.equal(fixture.resumed(last), undefined, "the difference to a dropped view is unknown");
  assert.deepEqual(fixture.resumed(revision), []);
  assert.equal(fixture.buffer.resumeAt(0).known_ms, fixture.clock.now_ms());
  simulation.unit("c.service", "inactive", []);
  await fixture.show(simulation.cluster());
  assert.match(fixture.resumed(revision)!.join(), /"name":"c\.service"/);
});

Deno.test("a watch that ends by itself starts the idle time as well", async () => {
  const ended = Promise.withResolvers<void>();
  const clock = new ManualClock();
  const watch = async function* () {
    yield { ...new SimulatedCluster().cluster(), revision: 7 } as Cluster;
    await ended.promise;
  };
  const buffer = new EventBuffer({ watch } as Pick<Registry, "watch"> as Registry, clock, () => {}, new Map());
  const woken: WakeReason[] = [];
  buffer.join((why) => woken.push(why));
  await ManualClock.settle();
  const { nextNumber } = buffer;
  ended.resolve();
  await ManualClock.settle();
  assert.deepEqual(woken, ["batch", "end"]);
  assert.equal(buffer.readers, 0);
  clock.advance(idle_ms);
  await ManualClock.settle();
  assert.ok(buffer.nextNumber > nextNumber, "everything is forgotten");
});

Deno.test("a quiet cluster leaves nothing behind for each keep-alive", async () => {
  using fixture = new BufferFixture();
  await fixture.show(new SimulatedCluster().cluster());
  fixture.woken.length = 0;
  fixture.callbacks = 0;
  for (let turn = 0; turn < 5; turn++) await fixture.pass(keepAlive_ms);
  assert.deepEqual(fixture.woken, Array(5).fill("keep-alive"));
  assert.equal(fixture.callbacks, 0, "callbacks on the promise of the next view");
});

Deno.test("a buffer that records keeps why units wait, also without readers", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  fixture.buffer.record(true);
  await fixture.show(simulation.cluster());
  fixture.leave();
  await fixture.pass(2 * idle_ms);
  simulation.unit("a.service", "launched", []);
  await fixture.show(simulation.cluster());
  await fixture.pass(1_000);
  const { number } = fixture.buffer.resumeAt(0);
  const batches = [0, 1].map((index) => fixture.buffer.batch(number + index));
  const events = batches.flatMap((batch) => typeof batch === "object" ? batch.events : []);
  assert.deepEqual(events.map(({ event, data }) => [event, JSON.parse(data).waiting]), [
    ["unit", undefined],
    ["decision", true],
  ]);
});

Deno.test("a buffer that records keeps what happens without readers, and forgets it after the end", async () => {
  using fixture = new BufferFixture();
  const simulation = new SimulatedCluster();
  simulation.unit("a.service", "inactive", []);
  await fixture.show(simulation.cluster());
  fixture.buffer.record(true);
  fixture.leave();
  await fixture.pass(2 * idle_ms);
  simulation.unit("b.service", "inactive", []);
  await fixture.show(simulation.cluster());
  const { number, known_ms } = fixture.buffer.resumeAt(0);
  const batch = fixture.buffer.batch(number);
  assert.ok(typeof batch === "object");
  assert.ok(batch.events.some(({ unit }) => unit === "b.service"));
  assert.ok(known_ms < batch.time_ms);
  assert.equal(fixture.buffer.complete_ms, known_ms);
  fixture.buffer.record(false);
  assert.equal(fixture.buffer.complete_ms, known_ms, "a reader that comes soon continues");
  await fixture.pass(idle_ms);
  assert.equal(fixture.buffer.complete_ms, undefined);
  assert.equal(fixture.buffer.batch(number), "lost");
});
