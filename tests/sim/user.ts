/**
 * A user of the simulated cluster: requests changes as the API's routes do, and keeps a record of each.
 *
 * @module
 */

import {
  ConflictError,
  OutcomeUnknownError,
  type Registry,
  type RolloutStart,
  type UnitRecord,
} from "../../registry/mod.ts";
import type { Authorship, Cluster } from "../../registry/model.ts";
import { answerRequest, hasEnded, undoSteps } from "../../registry/rollouts.ts";
import { proposeMoves } from "../../daemon/engine/drain/balance.ts";
import { decidePut } from "../../daemon/api/routes/unit_put.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { machineId } from "./machine.ts";
import type { DrainAction, RolloutAction, UserAction } from "./plan.ts";
import type { SimulatedProcess } from "./process.ts";
import { app, appUnits, optionsOf } from "./units.ts";

/**
 * A requested change. `unknown` is one without an answer, `settled` one whose error says that it was applied or never will
 * be, `refused` one whose error says that it was not applied.
 */
export interface Request {
  readonly id: string;
  readonly action: UserAction;
  outcome: "unknown" | "settled" | "refused" | "acknowledged";
  /** The store's revision when it was sent. */
  readonly after: number;
  /** Its revision in the store, once it was applied. */
  applied?: number;
}

type UnitAction = Exclude<UserAction, { kind: "metadata" } | RolloutAction | DrainAction>;

/** True for a request that is about machines, and moves their units. */
export function isOfMachines(action: UserAction): action is DrainAction {
  return ["drain", "undrain", "rebalance", "cordon"].includes(action.kind);
}

/** Carries out a request through the registry of one daemon, and records the outcome. Never rejects. */
export async function carryOut(registry: Registry, process: SimulatedProcess, request: Request): Promise<void> {
  try {
    const { action } = request;
    await (action.kind === "roll out" || action.kind === "rollout"
      ? rollOut(registry, action, { by: request.id, at_ms: process.clock.now_ms() })
      : isOfMachines(action)
      ? maintain(registry, action, { by: request.id, at_ms: process.clock.now_ms() })
      : action.kind === "metadata"
      ? registry.commit({
        kind: "metadata",
        machine: machineId(action.of),
        key: "disk",
        value: action.value,
      })
      : change(registry, process, request, action));
    request.outcome = "acknowledged";
  } catch (error) {
    if (error instanceof OutcomeUnknownError) request.outcome = error.settled ? "settled" : "unknown";
    else request.outcome = "refused";
  }
}

/** Begins the drain of a machine or ends it, cordons a machine or ends that, or requests moves for balance. */
async function maintain(registry: Registry, action: DrainAction, changed: Authorship): Promise<void> {
  const cluster = await registry.read();
  if (action.kind === "rebalance") {
    const { moves } = proposeMoves(cluster, action.moves);
    if (moves.length > 0 && !cluster.rebalance) {
      await registry.commit({ kind: "rebalance", rebalance: { changed, moves } });
    }
    return;
  }
  const machine = machineId(action.of);
  const { drains, cordons, targets } = cluster;
  if (action.kind === "cordon") {
    if (!drains?.has(machine)) {
      await registry.commit({ kind: "cordon", machine, ...!cordons?.has(machine) && { cordon: { changed } } });
    }
    return;
  }
  const was = drains?.get(machine);
  if (action.kind === "undrain") {
    if (was) await registry.commit({ kind: "undrain", was, keepsCordon: false });
    return;
  }
  const drain = {
    ...{ changed, maxParallel: 3, status: "moving" as const },
    total: [...targets.values()].filter((target) => target.machine === machine).length,
    ...action.force && { force: true as const },
    ...action.deadline_ms > 0 && { deadlineAt_ms: changed.at_ms + action.deadline_ms },
  };
  const begun = [{ machine, isCordoned: cordons?.has(machine) ?? false, drain, ...was && { was } }];
  await registry.commit({ kind: "drain", drains: begun, cordon: { changed } });
}

/** Begins a roll-out of the app, or requests something about it. */
async function rollOut(registry: Registry, action: RolloutAction, changed: Authorship): Promise<void> {
  const cluster = await registry.read();
  const was = cluster.rollouts?.get(app);
  const rest = { app, changed, ...was && { was } };
  if (action.kind === "roll out") {
    if (was && !hasEnded(was)) throw new Error(`the roll-out is ${was.status}`);
    const { steps, files } = stepsOf(cluster, action.versions);
    await registry.startRollout({ ...rest, what: "apply", rollback: action.rollback, steps, files });
    return;
  }
  if (!was) throw new Error("there is no roll-out");
  const answer = answerRequest(was, action.request, changed.by);
  if (!("refusal" in answer)) {
    const record = cluster.apps?.get(app);
    await registry.updateRollout({ was, ...answer, ...record && { app: record } });
    return;
  }
  const steps = action.request === "undo" ? undoSteps(was, cluster.units) : [];
  if (steps.length === 0) throw new Error(answer.refusal);
  await registry.startRollout({ ...rest, what: "rollback", rollback: true, steps, files: new Map() });
}

function stepsOf(
  { units }: Cluster,
  versions: readonly (number | null)[],
): Pick<RolloutStart, "steps" | "files"> {
  const files = new Map<string, string>();
  const steps = appUnits.flatMap((unit, at): RolloutStart["steps"] => {
    const version = versions[at] ?? null;
    const found = units.get(unit);
    const before = found && { hash: found.hash, desiredState: found.desiredState };
    const planned = found?.revision ?? 0;
    if (version === null) return before ? [{ unit, before, planned }] : [];
    const text = serializeUnitFile(optionsOf(unit, version));
    const hash = hashUnitFile(text);
    if (before?.hash === hash && before.desiredState === "launched" && found?.app === app && !found.next) return [];
    files.set(hash, text);
    return [{ unit, ...before && { before }, after: { hash, desiredState: "launched" as const }, planned }];
  });
  return { steps, files };
}

/** Decides on the cached unit first, as the API does. */
async function change(
  registry: Registry,
  process: SimulatedProcess,
  request: Request,
  action: UnitAction,
): Promise<void> {
  const attempt = async (was: UnitRecord) => await commit(registry, process, request, action, was);
  const cached = registry.peek(action.unit);
  if (cached) {
    try {
      if (await attempt(cached)) return;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  for (let attempts = 1;; attempts++) {
    try {
      await attempt(await registry.unit(action.unit));
      return;
    } catch (error) {
      if (!(error instanceof ConflictError) || attempts >= 5) throw error;
      await process.clock.sleep(process.clock.random() * 5 * attempts);
    }
  }
}

/** Commits a change. Returns false if the unit already is as requested. */
async function commit(
  registry: Registry,
  { clock }: SimulatedProcess,
  { id }: Request,
  action: UnitAction,
  was: UnitRecord,
): Promise<boolean> {
  const changed = { by: id, at_ms: clock.now_ms() };
  if (action.kind === "destroy") {
    if (!was.unit) return false;
    await registry.commit({ kind: "delete", was });
    return true;
  }
  if (action.kind === "put" || action.kind === "set") {
    const options = action.kind === "put" ? optionsOf(action.unit, action.version) : [];
    const decision = decidePut(was, { name: action.unit, desiredState: action.desired, options } as never);
    if (decision.kind === "refuse") throw new Error(decision.message);
    if (decision.kind === "nothing") return false;
    const { desiredState, file } = decision;
    await registry.commit({ kind: "put", was, desiredState, ...(file && { file }), changed });
    return true;
  }
  if (was.unit?.desiredState !== "launched") throw new Error(`unit ${action.unit} is not launched`);
  const restart = { restart: true, startOnly: action.kind === "start" };
  await registry.commit({ kind: "put", was, desiredState: "launched", ...restart, changed });
  return true;
}

/** Returns the hash of a version of a unit. */
export function hashOf(unit: string, version: number): string {
  return hashUnitFile(serializeUnitFile(optionsOf(unit, version)));
}
