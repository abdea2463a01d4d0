/**
 * Decides how a global unit gets another file from machine to machine, and how it goes back to its own. Pure.
 *
 * The record of the unit keeps its file until all machines have the other one and are healthy with it; {@link NextVersion}
 * names the machines that have it. So any leader goes on from the record alone.
 *
 * @module
 */

import type { Cluster, MachineId, NextVersion, Unit } from "../../../registry/model.ts";
import { ownVersion, versionOn } from "../../policy/globals.ts";
import { healthOn, machinesOfGlobal } from "../../policy/health.ts";
import type { Verdict } from "./observation.ts";

/** The file that all machines are to have. */
export type WantedFile = Pick<NextVersion, "hash" | "fleetOptions" | "requirements">;

/** The next thing to be done. */
export type Stage =
  /** Some machines change their file. */
  | { readonly kind: "machines"; readonly next: NextVersion }
  /** Every machine has the wanted file that can have it before the unit's record has: the record gets it. */
  | { readonly kind: "complete" }
  | Exclude<Verdict, { kind: "healthy" }>;

/** A look at a global unit whose machines change their file. */
export interface StageLook {
  readonly cluster: Cluster;
  readonly unit: Unit;
  /** True while absent machines may rejoin: they may run the unit, and change its file then. */
  readonly isRejoining: boolean;
  /** True before the roll-out has written the unit: its machines are those of an earlier roll-out, which did not end it. */
  readonly isFirst: boolean;
  /** The largest number of machines that are down, or not known to be healthy, because of the change. */
  readonly maxParallel: number;
  /**
   * Judges a version of the unit on one machine. `isReported`: false until the machine says itself that the unit has been
   * healthy for long enough.
   */
  readonly judge: (version: Unit, machine: MachineId, isReported: boolean) => Verdict;
}

/** Returns the next stage on the way to a file. */
export function nextStage(look: StageLook, wanted: WantedFile): Stage {
  const { unit: { hash, next }, cluster, maxParallel } = look;
  if (hash === wanted.hash) return next ? withdraw(look, next) : { kind: "complete" };
  if (next === undefined) return admit(look, wanted, []);
  if (next.hash === wanted.hash) {
    return look.isFirst
      ? takeOver(look, next)
      : admit(look, wanted, next.machines.filter((id) => !isOlder(cluster, id)));
  }
  // An earlier roll-out has left a third file on some machines. So many may change to the wanted one at once.
  const left = next.machines.filter((id) => isThere(look, id));
  const { busy } = judgeBack(look);
  const able = machinesOfGlobal(cluster, { ...ownVersion(look.unit), ...wanted });
  if (left.length + busy.length > maxParallel || left.some((id) => !able.includes(id))) return withdraw(look, next);
  if (left.length === 0) return admit(look, wanted, []);
  return { kind: "machines", next: { ...wanted, machines: left, unproven: [...busy, ...left] } };
}

/**
 * Goes on with the machines of an earlier roll-out. One that is away, and was not healthy with the file before, may never
 * come back: it is not waited for, and gets its turn if it does.
 */
function takeOver({ cluster, isRejoining }: StageLook, next: NextVersion): Stage {
  if (isRejoining) return { kind: "waiting", left_ms: Infinity };
  const isLost = (id: MachineId) => next.unproven.includes(id) && !cluster.machines.has(id);
  const stays = (id: MachineId) => !isLost(id);
  return {
    kind: "machines",
    next: { ...next, machines: next.machines.filter(stays), unproven: next.unproven.filter(stays) },
  };
}

/** Gives the wanted file to the next machines, if those before are healthy with it. `begun`: those that have it. */
function admit(look: StageLook, wanted: WantedFile, begun: readonly MachineId[]): Stage {
  const { unit, cluster, maxParallel, isRejoining } = look;
  const { unproven = [] } = unit.next ?? {};
  const version = { ...ownVersion(unit), ...wanted };
  const able = machinesOfGlobal(cluster, version);
  // A machine that was lost before it was healthy may have been lost because of the file.
  const isAwaited = (id: MachineId) => able.includes(id) || unproven.includes(id) && isUnknown(cluster, id);
  const { failed, ...waiting } = judgeAll(look, version, begun.filter(isAwaited));
  if (failed) return failed;
  // An aborted roll-out may have given others their own file again. If that fails there, the wanted one stops nothing.
  const back = judgeBack(look);
  const busy = [...waiting.busy, ...back.busy];
  const left_ms = Math.min(waiting.left_ms, back.left_ms);
  const left = able.filter((id) => !begun.includes(id) && !busy.includes(id) && !isOlder(cluster, id));
  if (left.length === 0 && busy.length === 0 && !isRejoining) return { kind: "complete" };
  const batch = worstFirst(cluster, unit, left).slice(0, Math.max(0, maxParallel - busy.length));
  if (batch.length === 0) return { kind: "waiting", left_ms };
  return { kind: "machines", next: { ...wanted, machines: [...begun, ...batch], unproven: [...busy, ...batch] } };
}

/** Gives the unit's own file back to the next machines, if those before are healthy with it. */
function withdraw(look: StageLook, next: NextVersion): Stage {
  const { unit, cluster, maxParallel } = look;
  const { machines } = next;
  const { failed, busy, left_ms } = judgeBack(look);
  if (failed) return failed;
  if (machines.length === 0) return busy.length === 0 ? { kind: "complete" } : { kind: "waiting", left_ms };
  const present = machines.filter((id) => cluster.machines.has(id)).toReversed();
  const batch = worstFirst(cluster, unit, present).slice(0, Math.max(0, maxParallel - busy.length));
  // A machine that is away starts with the unit's own file, and is not waited for.
  const left = machines.filter((id) => isThere(look, id) && !batch.includes(id));
  if (left.length === machines.length) return { kind: "waiting", left_ms };
  return { kind: "machines", next: { ...next, machines: left, unproven: [...busy, ...batch] } };
}

/** True if the daemon of a machine runs the unit's own file in any case, and reports nothing of what is waited for. */
function isOlder({ machines }: Cluster, id: MachineId): boolean {
  const machine = machines.get(id);
  return machine !== undefined && machine.unreadable === undefined && machine.capabilities.stagedGlobals !== true;
}

/** True if a machine is present, or may rejoin with the file that it has. */
function isThere({ cluster, isRejoining }: StageLook, id: MachineId): boolean {
  return isRejoining || cluster.machines.has(id);
}

/** Judges the unit's own file on the machines that have it again, and were not seen healthy with it. */
function judgeBack(look: StageLook): Judgment {
  const { unit, cluster } = look;
  const { machines = [], unproven = [] } = unit.next ?? {};
  const own = ownVersion(unit);
  const back = unproven.filter((id) => !machines.includes(id));
  if (back.length === 0) return judgeAll(look, own, []);
  const able = machinesOfGlobal(cluster, own);
  return judgeAll(look, own, back.filter((id) => able.includes(id)));
}

/** The result for several machines. */
interface Judgment {
  readonly failed: Extract<Verdict, { kind: "failed" }> | undefined;
  /** The machines that are waited for. */
  readonly busy: readonly MachineId[];
  readonly left_ms: number;
}

/** Judges a version on machines: the first failure, and the machines that are waited for. */
function judgeAll(
  { judge, unit: { name, next }, cluster }: StageLook,
  version: Unit,
  machines: readonly MachineId[],
): Judgment {
  const states = cluster.states.get(name);
  const isReported = (id: MachineId) =>
    !next?.unproven.includes(id) || states?.get(id)?.settled !== undefined || isOlder(cluster, id);
  const verdicts = machines.map((machine) => ({ machine, verdict: judge(version, machine, isReported(machine)) }));
  return {
    failed: verdicts.map(({ verdict }) => verdict).find((verdict) => verdict.kind === "failed"),
    busy: verdicts.filter(({ verdict }) => verdict.kind === "waiting").map(({ machine }) => machine),
    left_ms: Math.min(...verdicts.map(({ verdict }) => verdict.kind === "waiting" ? verdict.left_ms : Infinity)),
  };
}

/** Sorts machines: those on which the unit is not healthy come first, because their change stops nothing. */
function worstFirst(cluster: Cluster, unit: Unit, machines: readonly MachineId[]): readonly MachineId[] {
  const isHealthy = (id: MachineId) => healthOn(cluster, versionOn(unit, id), id).kind === "healthy";
  const { worst = [], best = [] } = Object.groupBy(machines, (id) => isHealthy(id) ? "best" : "worst");
  return [...worst, ...best];
}

/** True if a machine is away, and was not stopped in good order, or if its record cannot be read. */
function isUnknown({ machines, departed }: Cluster, id: MachineId): boolean {
  const machine = machines.get(id);
  return machine ? machine.unreadable !== undefined : departed?.get(id) !== "stopped";
}
