import assert from "node:assert/strict";
import type { UnitState } from "../../registry/model.ts";
import type { Store } from "../../registry/store/port.ts";
import { systemClock } from "../host/system_clock.ts";
import { exposition } from "./prometheus.ts";
import { observeEngine, observeRounds, observeStore, openMetrics } from "./metrics.ts";

/** A clock whose monotonic time a test sets. */
class Clock {
  now = 0;
  readonly clock = { ...systemClock, monotonic_ms: () => this.now, now_ms: () => 5_000 };
}

const state = (active: string) => ({ active }) as UnitState;

Deno.test("metrics in Prometheus' format", async (t) => {
  const moving = new Clock();
  const metrics = openMetrics();
  const renewals = new Map<string, number>();
  const present = { ready: true, lease: "l1", states: new Map([["a", state("active")], ["b", state("failed")]]) };
  const text = () => exposition(metrics, present, renewals, moving.clock);
  const shows = async (...lines: string[]) => {
    const all = (await text()).split("\n");
    for (const line of lines) assert.ok(all.includes(line), `${line}\nin\n${all.join("\n")}`);
  };

  await t.step("a metric of an event that has not happened is 0, with its help", () =>
    shows(
      "# HELP fleet_engine_reconcile_count_total Rounds of the engine.",
      "# TYPE fleet_engine_reconcile_count_total counter",
      "fleet_engine_reconcile_count_total 0",
      "fleet_engine_leader_start_time 0",
      "fleet_lease_age_seconds -1",
    ));

  await t.step("a failure of each kind is 0 before the first", () =>
    shows(
      `fleet_engine_reconcile_failure_count_total{type="run"} 0`,
      `fleet_registry_operation_failed_count_total{type="transact"} 0`,
      `fleet_systemd_call_failed_count_total{type="kill"} 0`,
    ));

  await t.step(
    "units by state, also those of which there are none",
    () => shows(`fleet_units{state="active"} 1`, `fleet_units{state="failed"} 1`, `fleet_units{state="activating"} 0`),
  );

  await t.step(
    "units by what they use, as far as it is accounted for, and only those that are still there",
    async () => {
      const usage = [{ name: "a.service", cpuMicroseconds: 1_500_000, tasks: 3 }, { name: "b.service", readBytes: 7 }];
      const of = (count: number) =>
        exposition(metrics, { ...present, usage: usage.slice(0, count) }, renewals, moving.clock).then((text) =>
          text.split("\n").filter((line) => line.startsWith("fleet_unit_"))
        );
      const first = [`fleet_unit_cpu_seconds_total{unit="a.service"} 1.5`, `fleet_unit_tasks{unit="a.service"} 3`];
      assert.deepEqual(await of(2), [...first, `fleet_unit_read_bytes_total{unit="b.service"} 7`]);
      assert.deepEqual(await of(1), first);
    },
  );

  await t.step("a round is counted once, in its bucket", async () => {
    observeRounds("agent", metrics)(30, false);
    observeRounds("agent", metrics)(30_000, true);
    await shows(
      "fleet_agent_reconcile_count_total 2",
      "fleet_agent_reconcile_failure_count_total 1",
      `fleet_agent_reconcile_duration_second_bucket{le="0.025"} 0`,
      `fleet_agent_reconcile_duration_second_bucket{le="0.05"} 1`,
      `fleet_agent_reconcile_duration_second_bucket{le="10"} 1`,
      `fleet_agent_reconcile_duration_second_bucket{le="+Inf"} 2`,
      "fleet_agent_reconcile_duration_second_count 2",
      "fleet_agent_reconcile_duration_second_sum 30.03",
    );
  });

  await t.step("an engine that takes the lead again replaces the time", async () => {
    const engine = observeEngine(metrics, moving.clock);
    engine.leading(true);
    engine.leading(true);
    engine.applied("place", false);
    engine.applied("place", true);
    engine.applied("unplace", false);
    engine.round(1, true);
    await shows(
      "fleet_engine_leader_start_time 5",
      `fleet_engine_task_count_total{type="attemptscheduleunit"} 2`,
      `fleet_engine_task_failure_count_total{type="attemptscheduleunit"} 1`,
      `fleet_engine_task_count_total{type="unscheduleunit"} 1`,
      `fleet_engine_reconcile_failure_count_total{type="run"} 1`,
    );
    engine.waits(2, 3);
    await shows("fleet_engine_missing_machines 2", "fleet_engine_waiting_units 3");
    engine.leading(false);
    const others = ["fleet_engine_missing_machines 0", "fleet_engine_waiting_units 0"];
    await shows("fleet_engine_leader_start_time 0", ...others);
  });

  await t.step("the store: operations, failures, lost watches, the lease's age", async () => {
    const store = observeStore(
      {
        read: () => Promise.reject(new Error("away")),
        grant: () => Promise.resolve("l1"),
        // deno-lint-ignore require-yield
        async *watch() {
          await Promise.reject(new Error("lost"));
        },
      } as unknown as Store,
      metrics,
      moving.clock,
      renewals,
    );
    await assert.rejects(store.read([]), /away/);
    moving.now = 1_000;
    await store.grant(30);
    moving.now = 3_500;
    await assert.rejects(async () => {
      for await (const _ of store.watch([], 0, new AbortController().signal));
    }, /lost/);
    await shows(
      `fleet_registry_operation_count_total{type="read"} 1`,
      `fleet_registry_operation_failed_count_total{type="read"} 1`,
      `fleet_registry_operation_count_total{type="grant"} 1`,
      `fleet_registry_operation_duration_second_count{ops="read"} 1`,
      "fleet_registry_watch_count_total 1",
      "fleet_registry_watch_restart_count_total 1",
      "fleet_lease_age_seconds 2.5",
    );
  });

  await t.step("a renewal keeps its time limit", async () => {
    const limits: (number | undefined)[] = [];
    const renew = (_lease: string, timeout_ms?: number) => {
      limits.push(timeout_ms);
      return Promise.resolve(6);
    };
    await observeStore({ renew } as unknown as Store, metrics, moving.clock, renewals).renew("l1", 2_000);
    assert.deepEqual(limits, [2_000]);
  });

  await t.step("the process itself", async () => {
    const all = await text();
    assert.match(all, /^process_resident_memory_bytes \d{7,}$/m);
    assert.match(all, /^process_cpu_seconds_total \d/m);
    assert.match(all, /^fleet_build_info\{version="\d+\.\d+\.\d+",revision="unknown"\} 1$/m);
  });
});
