/**
 * A user of the simulated cluster: requests changes as the API's routes do, and keeps a record of each.
 *
 * @module
 */

import { ConflictError, OutcomeUnknownError, type Registry, type UnitRecord } from "../../registry/mod.ts";
import { decidePut } from "../../daemon/api/routes/unit_put.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { hashUnitFile } from "../../systemd/unit_hash.ts";
import { machineId } from "./machine.ts";
import type { UserAction } from "./plan.ts";
import type { SimulatedProcess } from "./process.ts";
import { optionsOf } from "./units.ts";

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

type UnitAction = Exclude<UserAction, { kind: "metadata" }>;

/** Carries out a request through the registry of one daemon, and records the outcome. Never rejects. */
export async function carryOut(registry: Registry, process: SimulatedProcess, request: Request): Promise<void> {
  try {
    await (request.action.kind === "metadata"
      ? registry.commit({
        kind: "metadata",
        machine: machineId(request.action.of),
        key: "disk",
        value: request.action.value,
      })
      : change(registry, process, request, request.action));
    request.outcome = "acknowledged";
  } catch (error) {
    if (error instanceof OutcomeUnknownError) request.outcome = error.settled ? "settled" : "unknown";
    else request.outcome = "refused";
  }
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
