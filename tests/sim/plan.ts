/**
 * The plan of a simulation: what happens at which time. It follows from the seed alone, and a shorter plan is a shorter run.
 *
 * @module
 */

import type { DesiredState } from "../../registry/model.ts";
import { Random } from "../support/random.ts";
import type { RolloutRequest } from "../../registry/rollouts.ts";
import { appUnits, badVersion, unitNames, versions } from "./units.ts";

/** A change that a user requests, through the daemon of one machine. */
export type UserAction =
  | { readonly kind: "put"; readonly unit: string; readonly version: number; readonly desired: DesiredState }
  | { readonly kind: "set"; readonly unit: string; readonly desired: DesiredState }
  | { readonly kind: "restart" | "start" | "destroy"; readonly unit: string }
  | { readonly kind: "metadata"; readonly of: number; readonly value: string }
  | RolloutAction
  | DrainAction;

/** A request about a machine and all of its units; `cordon` sets the mark, or removes it. */
export type DrainAction =
  | { readonly kind: "cordon"; readonly of: number }
  | { readonly kind: "rebalance"; readonly moves: number }
  | { readonly kind: "drain"; readonly of: number; readonly force: boolean; readonly deadline_ms: number }
  | { readonly kind: "undrain"; readonly of: number };

/** A request about the roll-out of the app. `versions`: those of its units, each in order; null destroys the unit. */
export type RolloutAction =
  | { readonly kind: "roll out"; readonly versions: readonly (number | null)[]; readonly rollback: boolean }
  | { readonly kind: "rollout"; readonly request: RolloutRequest };

/** The points at which a daemon can be killed. */
export const killPoints = ["transact", "renew", "read", "StartUnit", "StopUnit", "wrote"] as const;
export type KillPoint = typeof killPoints[number];

/** A fault. Times are in milliseconds. */
export type Fault =
  | { readonly kind: "kill"; readonly machine: number; readonly down_ms: number; readonly at?: KillPoint }
  | { readonly kind: "reboot"; readonly machine: number; readonly down_ms: number }
  | { readonly kind: "end"; readonly machine: number; readonly down_ms: number; readonly job: "stop" | "restart" }
  | { readonly kind: "reload"; readonly machine: number; readonly disk: string }
  | { readonly kind: "pause" | "cut" | "slow" | "lose bus"; readonly machine: number; readonly for_ms: number }
  | { readonly kind: "lose watches" | "expire" | "wake" | "reload systemd"; readonly machine: number }
  | {
    readonly kind: "refuse";
    readonly machine: number;
    readonly unit: string;
    readonly call: "start" | "stop" | "link";
  }
  | { readonly kind: "exit"; readonly unit: string; readonly code: number }
  | { readonly kind: "step clock"; readonly machine: number; readonly by_ms: number }
  | { readonly kind: "hang" | "outage"; readonly for_ms: number }
  | { readonly kind: "compact" | "expire leader" };

export type Action =
  & { readonly at_ms: number }
  & (
    | { readonly user: UserAction; readonly through: number }
    | { readonly fault: Fault }
  );

/** The plan of one run. */
export interface Plan {
  readonly machines: number;
  readonly massLossThreshold: number;
  readonly actions: readonly Action[];
}

/** Time in which actions happen, and the whole simulated time, milliseconds. */
export const times = { first_ms: 5_000, last_ms: 420_000, end_ms: 600_000 } as const;

/** Returns the plan of a seed. */
export function planOf(seed: number): Plan {
  const random = new Random(seed);
  const machines = 2 + random.below(4);
  // Some runs have many faults, others many changes.
  const faults = random.below(45);
  const changes = 15 + random.below(50);
  const actions: Action[] = [];
  // What begins with a fault begins before all faults end.
  const at_ms = () => Math.floor(random.between(times.first_ms, times.last_ms - 5_000));
  // Most units are there from the beginning.
  for (const unit of unitNames) {
    if (random.chance(0.3)) continue;
    const user = { kind: "put", unit, version: random.below(versions), desired: "launched" } as const;
    actions.push({ at_ms: times.first_ms + random.below(5_000), user, through: random.below(machines) });
  }
  for (let i = 0; i < changes; i++) {
    actions.push({ at_ms: at_ms(), user: userAction(random, machines), through: random.below(machines) });
  }
  for (let i = 0; i < faults; i++) {
    const first_ms = at_ms();
    actions.push({ at_ms: first_ms, fault: fault(random, machines) });
    // A second fault or a change while the first one lasts.
    if (random.chance(0.3)) actions.push({ at_ms: first_ms + random.below(3_000), fault: fault(random, machines) });
    if (random.chance(0.3)) {
      const user = userAction(random, machines);
      actions.push({ at_ms: first_ms + random.below(2_000), user, through: random.below(machines) });
    }
  }
  actions.push(
    ...rolloutActions(seed, machines),
    ...drainActions(seed, machines),
    ...maintenanceActions(seed, machines),
    ...deadlineActions(seed, machines),
  );
  actions.sort((a, b) => a.at_ms - b.at_ms);
  return { machines, massLossThreshold: random.pick([0.5, 1]), actions };
}

function userAction(random: Random, machines: number): UserAction {
  const unit = random.pick(unitNames);
  const desired = random.pick<DesiredState>(["launched", "launched", "launched", "loaded", "inactive"]);
  const share = random.next();
  if (share < 0.5) return { kind: "put", unit, version: random.below(versions), desired };
  if (share < 0.75) return { kind: "set", unit, desired };
  if (share < 0.88) return { kind: random.pick(["restart", "start", "destroy"] as const), unit };
  return { kind: "metadata", of: random.below(machines), value: random.pick(["ssd", "hdd", ""]) };
}

/**
 * Returns the roll-outs of odd seeds, with what happens to the units of the app: they have random numbers of their own, so
 * that the rest of the plan does not depend on them.
 */
function rolloutActions(seed: number, machines: number): Action[] {
  if (seed % 2 === 0) return [];
  const random = new Random(seed ^ 0xa99);
  const actions: Action[] = [];
  const at_ms = () => Math.floor(random.between(times.first_ms, times.last_ms - 5_000));
  const add = (time_ms: number, user: UserAction) =>
    actions.push({ at_ms: Math.floor(time_ms), user, through: random.below(machines) });
  for (let round = 1 + random.below(8); round > 0; round--) {
    const version = random.chance(0.3) ? badVersion : random.below(versions);
    const instances = random.chance(0.6) ? appUnits.length : 1 + random.below(appUnits.length);
    const wanted = appUnits.map((unit, at) => {
      if (unit.includes("@") && at >= instances) return null;
      return random.chance(0.1) ? random.below(versions) : version;
    });
    const begin_ms = at_ms();
    add(begin_ms, { kind: "roll out", versions: wanted, rollback: random.chance(0.8) });
    if (random.chance(0.4)) {
      const request = random.pick(["pause", "abort", "undo", "undo"] as const);
      const then_ms = begin_ms + random.between(100, 15_000);
      add(then_ms, { kind: "rollout", request });
      if (request === "pause") add(then_ms + random.between(100, 20_000), { kind: "rollout", request: "resume" });
    }
    const during_ms = begin_ms + random.below(20_000);
    if (random.chance(0.15)) {
      add(during_ms, { ...userAction(random, machines), unit: random.pick(appUnits) } as UserAction);
    }
    if (random.chance(0.3)) {
      const unit = random.pick(appUnits);
      const machine = random.below(machines);
      const call = random.pick(["start", "stop", "link"] as const);
      const code = random.below(2);
      actions.push({
        at_ms: during_ms,
        fault: random.chance(0.5) ? { kind: "exit", unit, code } : { kind: "refuse", machine, unit, call },
      });
    }
  }
  return actions;
}

/** Returns the drains of every third seed. As those of roll-outs, they change nothing else in the plan. */
function drainActions(seed: number, machines: number): Action[] {
  if (seed % 3 !== 0) return [];
  const random = new Random(seed ^ 0xd4a1);
  const actions: Action[] = [];
  for (let round = 1 + random.below(10); round > 0; round--) {
    const at_ms = Math.floor(random.between(times.first_ms + 10_000, times.last_ms - 5_000));
    const of = random.below(machines);
    const force = random.chance(0.3);
    const deadline_ms = random.chance(0.3) ? 1_000 * random.below(30) : 0;
    actions.push({ at_ms, user: { kind: "drain", of, force, deadline_ms }, through: random.below(machines) });
    const end_ms = Math.floor(at_ms + random.between(500, 60_000));
    if (end_ms > times.last_ms - 1_000) continue;
    actions.push({ at_ms: end_ms, user: { kind: "undrain", of }, through: random.below(machines) });
  }
  return actions;
}

/** Returns drains without a deadline, cordons and moves for balance of every third seed, other than those with drains. */
function maintenanceActions(seed: number, machines: number): Action[] {
  if (seed % 3 !== 1) return [];
  const random = new Random(seed ^ 0xba1a);
  const actions: Action[] = [];
  const last_ms = times.last_ms - 5_000;
  const add = (at_ms: number, user: UserAction) => {
    if (at_ms < last_ms) actions.push({ at_ms: Math.floor(at_ms), user, through: random.below(machines) });
  };
  for (let round = 2 + random.below(10); round > 0; round--) {
    const at_ms = random.between(times.first_ms + 10_000, last_ms);
    const of = random.below(machines);
    const end_ms = at_ms + random.between(500, 60_000);
    const share = random.next();
    if (share < 0.4) add(at_ms, { kind: "rebalance", moves: 1 + random.below(5) });
    else if (share < 0.6) {
      add(at_ms, { kind: "cordon", of });
      add(end_ms, { kind: "cordon", of });
    } else {
      add(at_ms, { kind: "drain", of, force: false, deadline_ms: 0 });
      add(end_ms, { kind: "undrain", of });
      // Moves that even out what the drain has left.
      if (random.chance(0.5)) add(end_ms + random.between(0, 5_000), { kind: "rebalance", moves: 5 });
    }
  }
  return actions;
}

/** Returns drains that last beyond their deadline, of every sixth seed, which has no others. */
function deadlineActions(seed: number, machines: number): Action[] {
  if (seed % 6 !== 5) return [];
  const random = new Random(seed ^ 0xdead);
  const actions: Action[] = [];
  for (let round = 3 + random.below(8); round > 0; round--) {
    const at_ms = Math.floor(random.between(times.first_ms + 10_000, times.last_ms - 60_000));
    const drain = {
      ...{ kind: "drain", of: random.below(machines), force: random.chance(0.2) } as const,
      deadline_ms: 1_000 * (1 + random.below(15)),
    };
    const end_ms = Math.floor(at_ms + drain.deadline_ms + random.between(1_000, 40_000));
    actions.push({ at_ms, user: drain, through: random.below(machines) });
    actions.push({ at_ms: end_ms, user: { kind: "undrain", of: drain.of }, through: random.below(machines) });
  }
  return actions;
}

function fault(random: Random, machines: number): Fault {
  const machine = random.below(machines);
  const short_ms = Math.floor(random.between(100, 4_000));
  const long_ms = Math.floor(random.between(3_000, 40_000));
  const for_ms = random.chance(0.5) ? short_ms : long_ms;
  const down_ms = for_ms;
  const kinds: readonly (() => Fault)[] = [
    () => ({ kind: "kill", machine, down_ms: random.chance(0.6) ? short_ms : long_ms }),
    () => ({ kind: "kill", machine, down_ms, at: random.pick(killPoints) }),
    () => ({ kind: "kill", machine, down_ms: short_ms, at: random.pick(killPoints) }),
    () => ({ kind: "reboot", machine, down_ms }),
    () => ({ kind: "end", machine, down_ms, job: random.pick(["stop", "restart"]) }),
    () => ({ kind: "reload", machine, disk: random.pick(["ssd", "hdd", ""]) }),
    () => ({ kind: random.pick(["pause", "cut", "slow"]), machine, for_ms }),
    () => ({ kind: random.pick(["pause", "cut", "slow"]), machine, for_ms }),
    () => ({ kind: "lose bus", machine, for_ms: short_ms }),
    () => ({ kind: random.pick(["lose watches", "expire", "wake", "reload systemd"]), machine }),
    () => ({ kind: "refuse", machine, unit: random.pick(unitNames), call: random.pick(["start", "stop", "link"]) }),
    () => ({ kind: "exit", unit: random.pick(unitNames), code: random.below(2) }),
    () => ({ kind: "step clock", machine, by_ms: random.pick([-3_600_000, -5_000, 5_000, 3_600_000]) }),
    () => ({ kind: random.pick(["hang", "outage"]), for_ms }),
    () => ({ kind: random.pick(["compact", "expire leader"]) }),
  ];
  return random.pick(kinds)();
}

/** Returns an action as one line. */
export function describe(action: Action): string {
  const { at_ms: _, ...rest } = action;
  return "user" in rest
    ? `user ${JSON.stringify(rest.user)} through machine ${rest.through}`
    : `fault ${JSON.stringify(rest.fault)}`;
}
