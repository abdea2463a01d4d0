import type { Cluster, MachineId, UnitName } from "../../../registry/model.ts";
import type { Plan, ScheduleOptions } from "../plan.ts";
import { schedule } from "../schedule.ts";
import { hasSameInput } from "../schedule_cache.ts";
import type { MoveRequest } from "./requests.ts";

/**
 * The scheduler's search for the new machines of units that are to leave theirs. A drain may wait for days, while states of
 * units change all the time: the search is repeated only after a change of something that it depends on.
 */
export class Destinations {
  #latest: { readonly cluster: Cluster; readonly question: string; readonly plan: Plan } | undefined;

  /** `failed` returns the machines that did not get a unit healthy: they are not considered. */
  plan(
    cluster: Cluster,
    options: ScheduleOptions,
    requests: ReadonlyMap<UnitName, MoveRequest>,
    failed: (unit: UnitName) => ReadonlySet<MachineId>,
  ): Plan {
    const { absentAreGone, vanished = [], returned = [] } = options;
    const asked = [...requests].map(([name, { to }]) => [name, to ?? "", ...failed(name)]);
    const question = JSON.stringify([absentAreGone, [...vanished], [...returned], asked]);
    const latest = this.#latest;
    if (latest?.question === question && hasSameInput(latest.cluster, cluster)) return latest.plan;
    const leaving = new Map([...requests].map(([name, { to }]) => {
      const without = new Set(failed(name));
      return [name, (id: MachineId) => to === undefined ? !without.has(id) : to === id] as const;
    }));
    const plan = schedule(cluster, { ...options, leaving });
    this.#latest = { cluster, question, plan };
    return plan;
  }
}
