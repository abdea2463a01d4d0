import assert from "node:assert/strict";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { Story } from "../../../tests/scheduling/scenarios/scenario.ts";
import type { Cluster } from "../../../registry/model.ts";
import type { Registry } from "../../../registry/mod.ts";
import { schedule } from "../../engine/schedule.ts";
import { EventBuffer } from "./event_buffer.ts";
import { Removals } from "./removals.ts";

/** A clock by which the process hangs for a while between one look at it and the next. */
class HangingClock extends ManualClock {
  hang_ms = 0;

  override monotonic_ms(): number {
    this.advance(this.hang_ms);
    return super.monotonic_ms();
  }
}

/** A feed whose views are those that it is given. */
class Stage {
  readonly clock = new HangingClock();
  readonly buffer: EventBuffer;
  readonly #wake = () => {};
  #revision = 10;
  #show: (cluster: Cluster) => void = () => {};

  constructor() {
    const views = async function* (stage: Stage, signal: AbortSignal) {
      const left = new Promise<undefined>((resolve) => signal.addEventListener("abort", () => resolve(undefined)));
      for (;;) {
        const cluster = await Promise.race([new Promise<Cluster>((resolve) => stage.#show = resolve), left]);
        if (cluster === undefined) return;
        yield cluster;
      }
    };
    const registry = { watch: (signal: AbortSignal) => views(this, signal) };
    this.buffer = new EventBuffer(
      registry as Pick<Registry, "watch"> as Registry,
      this.clock,
      () => {},
      new Removals(),
    );
    this.buffer.join(this.#wake);
  }

  /** The next view; gives its revision. */
  async show(cluster: Cluster): Promise<number> {
    await ManualClock.settle();
    this.#show({ ...cluster, revision: ++this.#revision, leader: { machine: "m1", version: "1.2.3" } } as Cluster);
    await ManualClock.settle();
    return this.#revision;
  }

  /** Until it has been looked who waits. */
  async later(): Promise<void> {
    this.clock.advance(500);
    await ManualClock.settle();
  }

  /** The data of what somebody is told who comes back and knows everything up to a revision. */
  told(revision: number): string[] {
    const data: string[] = [];
    for (let number = this.buffer.resume({ revision })!; number < this.buffer.nextNumber; number++) {
      const batch = this.buffer.batch(number);
      assert.ok(typeof batch === "object");
      data.push(...batch.events.map((event) => event.data));
    }
    return data;
  }

  [Symbol.dispose](): void {
    this.buffer.leave(this.#wake);
  }
}

Deno.test("who comes back is told that a unit waits no more, though nothing has changed since", async () => {
  using stage = new Stage();
  const story = new Story();
  story.machine("m1", {});
  story.machine("m2", {});
  story.unit("a.service", "launched", [{ section: "X-Fleet", name: "MachineID", value: "m2" }]);
  story.apply(schedule(story.cluster()).placements);
  await stage.show(story.cluster());
  await stage.later();
  story.gone("m2");
  await stage.show(story.cluster());
  await stage.later();
  story.machine("m2", {});
  const back = await stage.show(story.cluster());
  await stage.later();
  assert.match(stage.told(back).join(), /"machineID":"m2","name":"a\.service"/);
});

Deno.test("a daemon that hung while it worked out why units wait tells of the next ones within seconds", async () => {
  using stage = new Stage();
  const story = new Story();
  story.machine("m1", {});
  const onTape = [{ section: "X-Fleet", name: "MachineMetadata", value: "disk=tape" }];
  story.unit("a.service", "launched", onTape);
  await stage.show(story.cluster());
  stage.clock.hang_ms = 5_000;
  await stage.later();
  stage.clock.hang_ms = 0;
  story.unit("b.service", "launched", onTape);
  const revision = await stage.show(story.cluster());
  stage.clock.advance(2_000);
  await ManualClock.settle();
  assert.match(stage.told(revision).join(), /"name":"b\.service".*"waiting":true/);
});
