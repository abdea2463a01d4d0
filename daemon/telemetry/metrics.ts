/**
 * Declares a daemon's metrics, and counts them. Names of fleet 1.0 are kept. Pure.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import type { Store } from "../../registry/store/port.ts";
import type { Systemd } from "../../systemd/port.ts";
import { type Metric, Tally } from "./counters.ts";
import { NewestMap } from "../../runtime/newest_map.ts";

const counter = (help: string, ...labels: string[]): Metric => make("counter", help, labels);
const gauge = (help: string, ...labels: string[]): Metric => make("gauge", help, labels);
const histogram = (help: string, ...labels: string[]): Metric => make("histogram", help, labels);

function make(type: Metric["type"], help: string, labels: readonly string[]): Metric {
  return { type, help, ...(labels.length > 0 && { labels }) };
}

const catalogue = {
  fleet_build_info: gauge("1, with the version and the commit of this daemon.", "version", "revision"),
  fleet_ready: gauge("1 if this daemon is a member of the cluster."),
  fleet_lease_age_seconds: gauge("Seconds since this machine's lease was last renewed; -1 without a lease."),
  fleet_units: gauge("Units on this machine, by systemd's active state.", "state"),
  fleet_units_by_health: gauge("Active units on this machine with a health check, by its latest result.", "health"),
  fleet_unit_cpu_seconds_total: counter("Processor time of a unit, by systemd's accounting.", "unit"),
  fleet_unit_memory_bytes: gauge("Memory of a unit.", "unit"),
  fleet_unit_tasks: gauge("Processes and threads of a unit.", "unit"),
  fleet_unit_read_bytes_total: counter("Bytes that a unit has read from block devices.", "unit"),
  fleet_unit_written_bytes_total: counter("Bytes that a unit has written to block devices.", "unit"),
  fleet_engine_leader_start_time: gauge("When this daemon took the lead, in seconds since the epoch; 0 if it has not."),
  fleet_engine_missing_machines: gauge(
    "Machines whose units this engine does not move, because too many machines were lost at once.",
  ),
  fleet_engine_waiting_units: gauge("Units that should run or be loaded, and wait for a machine."),
  fleet_engine_task_count_total: counter("Decisions that the engine has applied.", "type"),
  fleet_engine_task_failure_count_total: counter(
    "Decisions that the store refused because the cluster had changed.",
    "type",
  ),
  fleet_engine_reconcile_count_total: counter("Rounds of the engine."),
  fleet_engine_reconcile_failure_count_total: counter("Rounds of the engine that failed.", "type"),
  fleet_engine_reconcile_duration_second: histogram("Duration of the engine's rounds."),
  fleet_agent_reconcile_count_total: counter("Rounds of the agent."),
  fleet_agent_reconcile_failure_count_total: counter("Rounds of the agent that failed."),
  fleet_agent_reconcile_duration_second: histogram("Duration of the agent's rounds."),
  fleet_registry_operation_count_total: counter("Operations on the store.", "type"),
  fleet_registry_operation_failed_count_total: counter("Operations on the store that failed.", "type"),
  fleet_registry_operation_duration_second: histogram("Duration of operations on the store.", "ops"),
  fleet_registry_watch_count_total: counter("Watches that were opened on the store."),
  fleet_registry_watch_restart_count_total: counter("Watches on the store that were lost."),
  fleet_systemd_call_count_total: counter("Calls to systemd.", "type"),
  fleet_systemd_call_failed_count_total: counter("Calls to systemd that failed.", "type"),
  fleet_systemd_call_duration_second: histogram("Duration of calls to systemd.", "type"),
  fleet_event_loop_lag_seconds: gauge("Delay of a timer while these figures were collected."),
  process_resident_memory_bytes: gauge("Resident memory."),
  process_cpu_seconds_total: counter("User and system CPU time."),
  process_start_time_seconds: gauge("When the process started, in seconds since the epoch."),
} as const;

/** A metric's name. */
export type MetricName = keyof typeof catalogue;

/** The counters of a daemon. */
export type Metrics = Tally<MetricName>;

/** The values of `type` of counters that exist from the start, so that their first increase counts in `rate()`. */
const types = {
  fleet_engine_reconcile_failure_count_total: ["run"],
  fleet_registry_operation_failed_count_total: ["read", "transact", "grant", "renew", "revoke"],
  fleet_systemd_call_failed_count_total: [
    ...["install", "uninstall", "reload", "start", "stop", "kill", "restart", "statuses", "check", "ownjob"],
  ],
} as const satisfies Partial<Record<MetricName, readonly string[]>>;

/** Returns counters at zero. */
export function openMetrics(): Metrics {
  const metrics = new Tally<MetricName>(catalogue);
  for (const [name, values] of Object.entries(types) as [keyof typeof types, readonly string[]][]) {
    for (const type of values) metrics.count(name, [type], 0);
  }
  return metrics;
}

/** Called after every round of a loop. */
export type RoundObserver = (duration_ms: number, failed: boolean) => void;

/** Counts the rounds of the agent or of the engine. */
export function observeRounds(loop: "agent" | "engine", metrics: Metrics): RoundObserver {
  return (duration_ms, failed) => {
    metrics.count(`fleet_${loop}_reconcile_count_total`);
    metrics.observe(`fleet_${loop}_reconcile_duration_second`, duration_ms);
    if (!failed) return;
    if (loop === "agent") metrics.count("fleet_agent_reconcile_failure_count_total");
    else metrics.count("fleet_engine_reconcile_failure_count_total", ["run"]);
  };
}

/** Names of fleet 1.0's tasks, by kind of decision. */
const taskTypes = { place: "attemptscheduleunit", unplace: "unscheduleunit" } as const;

/** Counts the engine's rounds and decisions. `leading`: called when its leadership begins, with true, and when it ends. */
export function observeEngine(metrics: Metrics, clock: Clock, leading: (leads: boolean) => void = () => {}) {
  return {
    round: observeRounds("engine", metrics),
    leading: (leads: boolean) => {
      leading(leads);
      metrics.set("fleet_engine_leader_start_time", leads ? clock.now_ms() / 1000 : 0);
      if (leads) return;
      metrics.set("fleet_engine_missing_machines", 0);
      metrics.set("fleet_engine_waiting_units", 0);
    },
    waits: (machines: number, units: number) => {
      metrics.set("fleet_engine_missing_machines", machines);
      metrics.set("fleet_engine_waiting_units", units);
    },
    applied: (kind: "place" | "unplace", refused: boolean) => {
      metrics.count("fleet_engine_task_count_total", [taskTypes[kind]]);
      if (refused) metrics.count("fleet_engine_task_failure_count_total", [taskTypes[kind]]);
    },
  };
}

/** The time of each lease's last renewal, by the monotonic clock in milliseconds. */
export type Renewals = Map<string, number>;

/** Returns the renewals of more leases than a process holds at once, which are its own and the engine's. */
export function openRenewals(): Renewals {
  return new NewestMap(16);
}

/** Returns the same store with its operations counted. */
export function observeStore(store: Store, metrics: Metrics, clock: Clock, renewals: Renewals): Store {
  const timed = timer(metrics, clock, "fleet_registry_operation");
  const renewed = (lease: string) => void renewals.set(lease, clock.monotonic_ms());
  return {
    read: (ranges) => timed("read", store.read(ranges)),
    transact: (compares, ops) => timed("transact", store.transact(compares, ops)),
    async *watch(ranges, after, signal) {
      metrics.count("fleet_registry_watch_count_total");
      try {
        yield* store.watch(ranges, after, signal);
      } catch (error) {
        metrics.count("fleet_registry_watch_restart_count_total");
        throw error;
      }
    },
    async grant(ttl_s) {
      const lease = await timed("grant", store.grant(ttl_s));
      renewed(lease);
      return lease;
    },
    async renew(lease, timeout_ms) {
      const left_s = await timed("renew", store.renew(lease, timeout_ms));
      if (left_s > 0) renewed(lease);
      return left_s;
    },
    revoke: (lease) => timed("revoke", store.revoke(lease)),
    endpoints: store.endpoints,
    close: () => store.close(),
  };
}

/** Returns the same systemd with its calls counted. */
export function observeSystemd(systemd: Systemd, metrics: Metrics, clock: Clock): Systemd {
  const timed = timer(metrics, clock, "fleet_systemd_call");
  return {
    files: () => systemd.files(),
    install: (files) => timed("install", systemd.install(files)),
    uninstall: (names) => timed("uninstall", systemd.uninstall(names)),
    reloadIfNeeded: () => timed("reload", systemd.reloadIfNeeded()),
    start: (name) => timed("start", systemd.start(name)),
    stop: (name) => timed("stop", systemd.stop(name)),
    kill: (name) => timed("kill", systemd.kill(name)),
    restart: (name) => timed("restart", systemd.restart(name)),
    runAs: (name, argv, timeout_ms) => systemd.runAs(name, argv, timeout_ms),
    statuses: (names) => timed("statuses", systemd.statuses(names)),
    check: () => timed("check", systemd.check()),
    loadProblems: (name) => systemd.loadProblems(name),
    watch: (signal) => systemd.watch(signal),
    ready: () => systemd.ready(),
    ownJob: () => timed("ownjob", systemd.ownJob()),
    close: () => systemd.close(),
  };
}

/** Returns a function that counts and times calls. */
function timer(
  metrics: Metrics,
  clock: Clock,
  name: "fleet_registry_operation" | "fleet_systemd_call",
): <T>(type: string, answer: Promise<T>) => Promise<T> {
  return async (type, answer) => {
    const begun_ms = clock.monotonic_ms();
    metrics.count(`${name}_count_total`, [type]);
    try {
      return await answer;
    } catch (error) {
      metrics.count(`${name}_failed_count_total`, [type]);
      throw error;
    } finally {
      metrics.observe(`${name}_duration_second`, clock.monotonic_ms() - begun_ms, [type]);
    }
  };
}
