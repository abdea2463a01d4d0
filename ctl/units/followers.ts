/**
 * The order in which the units of one command are written.
 *
 * @module
 */

import { fleetOptionsOf, parseRequirements } from "../../registry/requirements.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";

/**
 * Calls `work` for all units in parallel, but first for those that name others in `MachineOf=`, or refer to other Quadlet
 * files: the engine chooses one machine for a whole group only if it knows such a unit before it places the others. Returns
 * the results in the order of the units. Rejects as `inParallel` does.
 */
export async function followersFirst<
  Unit extends { readonly name: string; readonly options?: readonly UnitOption[] },
  R,
>(
  units: readonly Unit[],
  work: (unit: Unit, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const isFollower = ({ name, options = [] }: Unit) =>
    parseRequirements(name, fleetOptionsOf(name, options)).machineOf.length > 0;
  const numbered = [...units.entries()];
  for (const turn of [true, false]) {
    await inParallel(numbered.filter(([_, unit]) => isFollower(unit) === turn), async ([index, unit]) => {
      results[index] = await work(unit, index);
    });
  }
  return results;
}
