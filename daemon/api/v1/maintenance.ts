/**
 * The wire types of the maintenance of machines.
 *
 * @module
 */

import { drainStatuses } from "../../../registry/model.ts";
import {
  boolean,
  type Component,
  count,
  entity,
  flag,
  list,
  object,
  ref,
  request,
  text,
  type TypeOf,
} from "./schema.ts";

/** Longest reason of a cordon, in characters. */
const maxWhy = 1000;

const fields = {
  "by?": text("The token, certificate, user or address that asked for it, if known."),
  "at?": count("When it was asked for, in milliseconds since the epoch, if known."),
  "why?": text("The operator's reason."),
};

export type CordonRequest = TypeOf<typeof CordonRequest>;
export const CordonRequest = {
  title: "CordonRequest",
  ...request("A cordon.", { "why?": text("The reason, for people to read.", { maxLength: maxWhy }) }),
};

export type CordonEntity = TypeOf<typeof CordonEntity>;
export const CordonEntity = entity("Cordon", "A machine takes no new units, and keeps those that it has.", {
  machineID: text("The ID of the machine, which may be absent."),
  ...fields,
});

export type CordonsEntity = TypeOf<typeof CordonsEntity>;
export const CordonsEntity = entity("Cordons", "The machines that take no new units.", {
  cordons: list("Cordons, by machine ID.", ref(CordonEntity)),
});

/** The largest number of machines in one request for drains. */
export const maxDrained = 40;

/** The largest number of units that one drain moves at once, and of moves for balance. */
export const maxMoves = 100;

const machineID = text("The ID of a machine.", { maxLength: 256 });
const unitName = text("The full name of the unit.", { maxLength: 256 });

export type DrainRequest = TypeOf<typeof DrainRequest>;
export const DrainRequest = {
  title: "DrainRequest",
  ...request("Machines that every unit is to leave. All of them are cordoned in one transaction.", {
    machines: list("The IDs of the machines.", machineID, maxDrained),
    "deadline?": count("After so many seconds, no unit waits for another one, and those that fit nowhere are stopped."),
    "maxParallel?": count("How many units of one machine move at once: at most 100; 0 or absent: 10."),
    "force?": boolean("Whether units that fit on no other machine are stopped, after all others have moved."),
    "ignoreGlobals?": boolean("Whether global units stay on the machines."),
    "why?": text("The reason, for people to read.", { maxLength: maxWhy }),
    "dryRun?": boolean("Whether to answer what would happen, and to change nothing."),
  }),
};

const reasons = list(
  "Every reason why each other machine does not take the unit, while it is blocked.",
  object("One machine.", {
    machineID: text("The ID of the machine."),
    "primaryIP?": text("The public address of the machine."),
    reasons: list("The reasons, as sentences.", text("A reason.")),
  }),
);

export type MovingUnitEntity = TypeOf<typeof MovingUnitEntity>;
export const MovingUnitEntity = entity("MovingUnit", "A unit that is to leave its machine.", {
  name: unitName,
  state: text(
    "`waiting`: for its turn. `moving`: it runs on both machines, until it is healthy on the new one. `blocked`: no " +
      "other machine takes it.",
    { enum: ["waiting", "moving", "blocked"] },
  ),
  "to?": text("The machine that it moves to, if that is known."),
  "toIP?": text("The public address of that machine."),
  "stopsFirst?": text("Why it stops before it starts on the new machine. Absent if it starts there first."),
  "why?": text("What it waits for, or why no machine takes it."),
  "machines?": reasons,
});

export type DrainEntity = TypeOf<typeof DrainEntity>;
export const DrainEntity = entity("Drain", "A machine that every unit is to leave.", {
  machineID: text("The ID of the machine, which may be absent."),
  "primaryIP?": text("The public address of the machine, if it is present."),
  ...fields,
  status: text(
    "`moving`: jobs are left on the machine. `stopping`: it stops what is left, such as global units. `done`: nothing " +
      "is left.",
    { enum: drainStatuses },
  ),
  "deadline?": count("From when on no unit waits, in milliseconds since the epoch."),
  maxParallel: count("How many units move at once.", 1),
  "force?": flag("True if units that fit on no other machine are stopped."),
  "ignoreGlobals?": flag("True if global units stay."),
  total: count("How many jobs were on the machine when the drain began."),
  "units?": list("The jobs that are left on the machine, by name.", ref(MovingUnitEntity)),
  "globals?": list("The global units that the machine reports, by name.", text("A unit name.")),
  "unreadableUnits?": list(
    "The units on the machine whose records cannot be read, global ones included, by name. They are neither moved nor " +
      "stopped, and the drain does not end, until they are put again with their files, or destroyed.",
    text("A unit name."),
  ),
  "unreadable?": text("Why the record is unreadable: no unit is moved because of it."),
});

export type DrainsEntity = TypeOf<typeof DrainsEntity>;
export const DrainsEntity = entity("Drains", "The machines that are drained.", {
  drains: list("Drains, by machine ID.", ref(DrainEntity)),
});

export type DrainEvent = TypeOf<typeof DrainEvent>;
export const DrainEvent = entity("DrainEvent", "A drain began, went on or was canceled.", {
  machineID: text("The ID of the machine."),
  "status?": text("The status of the drain. Absent if there is none any more.", { enum: drainStatuses }),
  "by?": text("Who asked for it, if known."),
  "at?": count("When it was asked for, in milliseconds since the epoch, if known."),
  "time?": count(
    "When the change happened or, if unknown, when the daemon saw it: milliseconds since the epoch. Absent in events " +
      "that come before `synced`.",
  ),
});

const move = {
  name: unitName,
  from: machineID,
  to: machineID,
};

export type RebalanceRequest = TypeOf<typeof RebalanceRequest>;
export const RebalanceRequest = {
  title: "RebalanceRequest",
  ...request("Moves that are to be made.", {
    moves: list("The moves: those of a proposal, or some of them.", request("One move.", move), maxMoves),
  }),
};

export type RebalanceEntity = TypeOf<typeof RebalanceEntity>;
export const RebalanceEntity = entity(
  "Rebalance",
  "Moves that even out the spread of units and the load of machines.",
  {
    proposed: list(
      "Moves that would even out the spread and the load, by their use. Units that `MachineOf=` ties together move together.",
      object("One move.", move),
    ),
    loads: list(
      "The machines that take units, by ID, with the number of their units before and after the proposed moves.",
      object("One machine.", {
        machineID: text("The ID of the machine."),
        "primaryIP?": text("The public address of the machine."),
        before: count("The number of units, global ones included."),
        after: count("The number of units after the moves."),
      }),
    ),
    "spread?": list(
      "The instances of the templates with `Spread=` that the proposed moves spread otherwise, before and after them.",
      object("The instances on the machines with one value of the metadata key.", {
        template: text("The name of the template."),
        key: text("The metadata key."),
        value: text("The value of the key."),
        before: count("The number of instances."),
        after: count("The number of instances after the moves."),
      }),
    ),
    "requested?": list("Moves that were requested, and are not made yet.", ref(MovingUnitEntity)),
  },
);

/** Every schema of the maintenance of machines that has a title. */
export const maintenanceComponents: readonly Component[] = [
  ...[CordonEntity, CordonRequest, CordonsEntity, DrainRequest, MovingUnitEntity, DrainEntity, DrainsEntity],
  ...[DrainEvent, RebalanceRequest, RebalanceEntity],
];
