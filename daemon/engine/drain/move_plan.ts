/**
 * The result of {@link import("./relocator.ts").Relocator}.
 *
 * @module
 */

import type { EngineStep } from "../../../registry/mod.ts";
import type { MachineId, UnitName } from "../../../registry/model.ts";
import type { Refusal } from "../../policy/feasibility.ts";
import type { MoveRequest } from "./requests.ts";

/** The progress of one unit that is to move. */
export interface MoveProgress {
  readonly request: MoveRequest;
  /** `waiting`: for its turn. `moving`: it runs on both machines. `blocked`: no machine takes it. */
  readonly state: "waiting" | "moving" | "blocked";
  /** Its new machine, if that is known. */
  readonly to?: MachineId;
  /** The reason why it stops before it starts on its new machine; absent if it starts there first. */
  readonly stopsFirst?: string;
  /** The reason why it waits, a sentence. */
  readonly why?: string;
  /** Every refusal of each other machine, while it is blocked. */
  readonly refusals?: ReadonlyMap<MachineId, readonly Refusal[]>;
}

/** The next steps of all moves. */
export interface MovePlan {
  readonly steps: readonly EngineStep[];
  readonly units: ReadonlyMap<UnitName, MoveProgress>;
  /** Milliseconds after which time alone makes another step possible. */
  readonly left_ms: number;
}

/** The plan while nothing is requested. */
export const noMoves: MovePlan = { steps: [], units: new Map(), left_ms: Infinity };
