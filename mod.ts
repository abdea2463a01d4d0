/**
 * fleet: a cluster-wide init system. It takes ordinary systemd unit files, decides which machine runs each unit, and keeps
 * the units running there. This module is the public entry point; this comment is the map of the folders.
 *
 * | folder | contents | may import |
 * |---|---|---|
 * | `runtime/` | primitives without knowledge of fleet: clock, log, notifier, counted limits, parallel requests | no other folder |
 * | `systemd/` | unit files and unit names; the port to systemd, its D-Bus adapter, and a test double | `runtime/` |
 * | `registry/` | the model of the cluster; the registry port; the schema of keys; adapters for etcd and the embedded store | `runtime/`, `systemd/unit_*.ts` |
 * | `daemon/` | fleetd: configuration, lifecycle, host, state, telemetry; the placement rules (`policy/`) and the reconcile loop | `runtime/`, `registry/`, `systemd/` |
 * | `daemon/engine/` | decides which machine runs a unit: a pure schedule, and the leader's loop around it | the same and `daemon/`, but not `agent/`, `api/` |
 * | `daemon/agent/` | starts and stops this machine's units: a pure plan, and the loop around it | the same and `daemon/`, but not `engine/`, `api/` |
 * | `daemon/api/` | the HTTP API: wire types, routes as `Request → Response`, and the server's adapters | the same and `daemon/`, but not `agent/`; of `engine/` only what explains and predicts |
 * | `daemon/ui/` | the cluster page, which runs in a browser | itself, `registry/{attach_contents,attached_files,deployment}.ts`, `systemd/unit_*.ts`, the types of `daemon/api/v1/types.ts` |
 * | `ctl/` | fleetctl: commands, output, API client, SSH | `runtime/`, `registry/{attach_contents,attached_files,deployment,health_check,model,requirements,reservation,unit_check}.ts`, `systemd/unit_*.ts`, the types of `daemon/api/v1/types.ts` |
 * | `packaging/` | what an operator installs or reads beside the programs: unit files, rules, the Debian package, manual pages, the site of the docs | the tables of help of `ctl/` and `daemon/` |
 * | `tests/` | tests of several folders: contract suites, scheduling scenarios, clusters of real machines, the architecture | everything |
 * | `bench/` | benchmarks of speed and resource use | everything |
 * | `examples/` | the demo, example units, a sample fleet.conf, monitoring, and the setup of machines | everything |
 *
 * `daemon/main.ts` and `ctl/main.ts` start the programs; `daemon/run.ts` wires the daemon. Only adapters have side effects;
 * all other code takes values and returns values. `tests/architecture/layering_test.ts` lists the adapters and checks both
 * the imports and the side effects.
 *
 * The design rests on three signatures: {@link Registry}, {@link findRefusals} and {@link schedule}.
 *
 * ```ts
 * import { type Cluster, schedule } from "./mod.ts";
 *
 * // Returns the units without a machine, each with the reason.
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
