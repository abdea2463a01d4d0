/**
 * What the units of a cluster reserve on each machine. Pure.
 *
 * @module
 */

import type { Cluster, MachineId, Unit } from "../../registry/model.ts";
import type { Amounts } from "../../registry/reservation.ts";
import { reservationOf } from "./capacity.ts";
import { globalsAmong, isActiveGlobal, isActiveJob } from "./globals.ts";

const known = new WeakMap<Cluster, ReadonlyMap<MachineId, Amounts>>();

/** Returns the sums of the reservations of the units on each machine that is present, globals included. */
export function reservedOnMachines(cluster: Cluster): ReadonlyMap<MachineId, Amounts> {
  return known.getOrInsertComputed(cluster, () => {
    const jobs = new Map<MachineId, Unit[]>();
    for (const { unit: name, machine } of cluster.targets.values()) {
      const unit = cluster.units.get(name);
      if (unit && isActiveJob(unit)) jobs.getOrInsertComputed(machine, () => []).push(unit);
    }
    const globals = [...cluster.units.values()].filter(isActiveGlobal);
    const hasReservation = globals.some(({ requirements, next }) =>
      requirements.reservation ?? next?.requirements.reservation
    );
    return new Map(Array.from(cluster.machines.values(), (machine) => {
      const here = jobs.get(machine.id) ?? [];
      const beside = hasReservation ? globalsAmong(machine, here, globals) : [];
      return [machine.id, reservationOf([...here, ...beside])] as const;
    }));
  });
}
