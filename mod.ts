/**
 * fleet: a cluster-wide init system. It takes ordinary systemd unit files, decides which machine runs each, and keeps
 * them running there. This is the public entry point, and this page the map of the folders.
 *
 * | folder | what it holds | may import |
 * |---|---|---|
 * | `runtime/` | primitives of the process: clock, log, notifier, parallel requests, spelling | nothing of ours |
 * | `systemd/` | unit files and unit names; the port to systemd, its double, and D-Bus behind an adapter | `runtime/` |
 * | `registry/` | the cluster's nouns; the port to its memory; key space; etcd and an embedded store behind adapters | `systemd/unit_*.ts` |
 * | `daemon/` | fleetd: placement, the reconcile loop, configuration, `explain` | `registry/`, `systemd/`; `explain` and `waiting` ask `schedule` |
 * | `daemon/engine/` | which machine runs a unit: a pure schedule, and the leader's loop around it | the rest of `daemon/` but not `agent/`, `api/` |
 * | `daemon/agent/` | what this machine does about it: a pure plan, and the loop around it | the same but not `engine/`, `api/` |
 * | `daemon/api/` | the HTTP API: wire types, routes as `Request → Response`, a server behind an adapter | the same but not `engine/`, `agent/` |
 * | `ctl/` | fleetctl: commands, tables, client, SSH | `registry/{model,requirements,unit_check}.ts`, `systemd/unit_*.ts`, `daemon/api/v1/types.ts` |
 * | `packaging/` | what an operator installs: unit files, polkit and sysusers rules | – |
 * | `tests/` | what crosses folders: contract suites, scenarios, clusters of real machines, the rules of this page | everything |
 * | `bench/` | how fast, and how much it costs | everything |
 * | `examples/` | a guided tour | everything |
 *
 * `daemon/main.ts` and `ctl/main.ts` start the programs; `daemon/run.ts` wires the daemon. Adapters, which `tests/architecture/layering_test.ts` lists, are the only files with effects.
 * Everything else takes values and returns values. `tests/architecture/layering_test.ts` keeps both rules.
 *
 * Three signatures carry the design: {@link Registry}, {@link findRefusals} and {@link schedule}.
 *
 * ```ts
 * import { type Cluster, schedule } from "./mod.ts";
 *
 * // The units that have no machine, each with the reason.
 * export const unplaced = (cluster: Cluster) => schedule(cluster).unplaced;
 * ```
 *
 * @module
 */

export * from "./registry/model.ts";
export * from "./registry/mod.ts";
export type { Requirements } from "./registry/requirements.ts";
export * from "./systemd/port.ts";
export type { UnitOption } from "./systemd/unit_file.ts";
export * from "./daemon/policy/feasibility.ts";
export * from "./daemon/engine/schedule.ts";
