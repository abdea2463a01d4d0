/**
 * The wire types of API v1, each declared once: a schema, and under the same name the type that TypeScript infers from
 * it. The descriptions are those of the OpenAPI document. Clients import the types only (`import type`).
 *
 * @module
 */

import { desiredStates, rolloutPurposes, rolloutStatuses } from "../../../registry/model.ts";
import { rolloutRequests } from "../../../registry/rollouts.ts";
import { eligibilities, outcomes } from "../../engine/explain.ts";
import type { Component, TypeOf } from "./schema.ts";
import { LossEntity, LossEvent } from "./loss.ts";
import { ContentEntity, ContentRequest } from "./contents.ts";
import { CordonEntity, DrainEntity, maintenanceComponents } from "./maintenance.ts";
import { MachineUsageEntity, UnitUsageEntity, UsageEntity } from "./usage.ts";
import { boolean, count, entity, flag, list, map, object, oneOf, ref, request, text } from "./schema.ts";

export * from "./maintenance.ts";
export { ContentEntity, ContentRequest, LossEntity, LossEvent };
export { MachineUsageEntity, UnitUsageEntity, UsageEntity };

/** The two path prefixes of the API; they are equivalent. */
export const apiPrefixes = ["/fleet/v1", "/v1-alpha"] as const;

/** More options than any unit file of the longest stored length can reasonably have. */
const maxOptions = 4096;

/** Operations in one PATCH. Each is a transaction of its own. */
const maxOperations = 1000;

/** Longest machine ID and metadata key in a PATCH, in characters. */
export const maxMetadataPart = 256;

/** Longest metadata value in a PATCH, in characters. */
export const maxMetadataValue = 4096;

const stateName = (description: string) => text(description, { enum: desiredStates });
const desiredState = stateName("The state that an operator has asked for.");
const currentState = stateName(
  "The state that the agent of the unit's machine has commanded; `inactive` without a machine. Absent for global units.",
);
const unitName = text("The full name of the unit, such as `hello.service`.");
const machineID = text("The ID of the machine: the 32 hexadecimal digits of machine-id(5).");
const placedOn = text("The machine that the unit is placed on. Absent while it has none, and for global units.");
const hash = text("The SHA-1 of the serialized unit file, if known.", { pattern: "^[0-9a-f]{40}$" });
const activeSince = count("When systemd entered the unit's active state, in milliseconds since the epoch.");
const result = text("systemd's `Result` of the unit. Absent if it is `success`.");
const nextPageToken = text("The token of the next page. Absent on the last page.");

const optionFields = {
  "section?": text("The section that contains the option, such as `Service`."),
  "name?": text("The name of the option, such as `ExecStart`."),
  "value?": text("The value of the option."),
};

export type UnitOptionEntity = TypeOf<typeof UnitOptionEntity>;
export const UnitOptionEntity = entity(
  "UnitOption",
  "One option of a unit file. Empty fields are absent.",
  optionFields,
);

export type UnitRequest = TypeOf<typeof UnitRequest>;
export const UnitRequest = {
  title: "UnitRequest",
  ...request("A unit to be created, replaced or updated. `currentState` and `machineID` are ignored.", {
    "name?": text("The name of the unit, if given: the same as in the path.", { maxLength: 256 }),
    "desiredState?": stateName(
      "The state to bring the unit into. A new unit or a new version is `inactive` by default.",
    ),
    "options?": list(
      "The options of the unit file, in order. Absent to keep the file that is stored.",
      request("One option of the unit file.", optionFields),
      maxOptions,
    ),
    "app?": text("The application that owns the unit from now on. Absent or empty to keep the owner."),
  }),
};

/** Units and machines in one plan. */
const maxPlanned = 4096;

/** The longest name of an application, in characters. */
const maxAppName = 64;

/** The names of applications, which are segments of paths and of keys. */
export const appNamePattern = `^[A-Za-z0-9][A-Za-z0-9_.-]{0,${maxAppName - 1}}$`;

const appName = text("The name of the application.", { pattern: appNamePattern });

const plannedFields = {
  name: text("The full name of the unit.", { maxLength: 256 }),
  "desiredState?": stateName("The state to bring the unit into."),
  "options?": list(
    "The options of the unit file, in order. Absent to keep the file that is stored.",
    request("One option of the unit file.", optionFields),
    maxOptions,
  ),
};

const plannedMachine = text("A machine ID.", { maxLength: maxMetadataPart });

export type PlanRequest = TypeOf<typeof PlanRequest>;
export const PlanRequest = {
  title: "PlanRequest",
  ...request("Changes whose effects are predicted. They are considered in the order of these fields.", {
    "units?": list(
      "Units to be created, replaced or updated, each as it would be put. A unit without `desiredState` is created " +
        "`inactive`.",
      request("One unit.", plannedFields),
      maxPlanned,
    ),
    "app?": text(
      "The application that the units belong to, empty for none. Units that another application owns are refused.",
    ),
    "prune?": boolean("Whether units of the application that the request does not name are destroyed."),
    "destroy?": list("Names of units to be destroyed.", text("A full unit name.", { maxLength: 256 }), maxPlanned),
    "leave?": list("IDs of machines that leave the cluster and do not come back.", plannedMachine, maxPlanned),
    "drain?": list(
      "IDs of machines that would be drained, as a drain with its usual options. No other field may be given with it.",
      plannedMachine,
      maxPlanned,
    ),
    "cordon?": list("IDs of machines that take no new units.", plannedMachine, maxPlanned),
    "uncordon?": list("IDs of machines that take units again.", plannedMachine, maxPlanned),
    "labels?": list(
      "Changes of the machines' metadata.",
      request("One change of one metadata key.", {
        machineID: plannedMachine,
        key: text("The key.", { maxLength: maxMetadataPart }),
        "value?": text("The value; absent or empty to hide the key.", { maxLength: maxMetadataValue }),
      }),
      maxOperations,
    ),
  }),
};

const plannedRevision = count(
  "The store revision at which the unit was last written when its change was planned, as in the plan; 0 if it did not " +
    "exist. The request is refused if the unit has been written since.",
);

export type AppRequest = TypeOf<typeof AppRequest>;
export const AppRequest = {
  title: "AppRequest",
  ...request("A roll-out: changes of the units of an application, as they were planned.", {
    "what?": text("The kind of change, for people to read; `apply` by default.", { enum: rolloutPurposes }),
    "units?": list(
      "Units to be created, replaced or updated, in the order in which new units start.",
      request("One unit.", { ...plannedFields, "revision?": plannedRevision }),
      maxPlanned,
    ),
    "destroy?": list(
      "Units to be destroyed.",
      request("One unit.", {
        name: text("The full name of the unit.", { maxLength: 256 }),
        "revision?": plannedRevision,
      }),
      maxPlanned,
    ),
    "maxParallel?": count(
      "How many instances of a template, or machines of a global unit, are changed at once. 0 or absent: as its option `MaxParallel=` says, by default one.",
    ),
    "rollback?": boolean("Whether units that were changed go back to what they were if the roll-out fails."),
  }),
};

export type RolloutRequest = TypeOf<typeof RolloutRequest>;
export const RolloutRequest = {
  title: "RolloutRequest",
  ...request("A request to a roll-out.", {
    action: text(
      "`pause`: no further unit is changed. `resume`: goes on after `pause`. `abort`: ends the roll-out and leaves every " +
        "unit as it is. `undo`: units that were changed go back to what they were.",
      { enum: rolloutRequests },
    ),
  }),
};

const metadataValue = text("The new value.", { maxLength: maxMetadataValue });

export type MetadataRequest = TypeOf<typeof MetadataRequest>;
export const MetadataRequest = {
  title: "MetadataRequest",
  ...list(
    "Changes of the machines' dynamic metadata.",
    request("One change of one metadata key.", {
      op: text("`add` and `replace` both set the key; `remove` hides it, also where it is static.", {
        enum: ["add", "remove", "replace"],
      }),
      path: text("The machine and the key: `/MACHINE/metadata/KEY`.", {
        pattern: `^/[^/]{1,${maxMetadataPart}}/metadata/[A-Za-z0-9_.-]{1,${maxMetadataPart}}$`,
      }),
      "value?": oneOf(
        "The new value, as a string or as in fleet 1.0. Required by `add` and `replace`.",
        metadataValue,
        request("The new value as in fleet 1.0.", { "value?": metadataValue }),
      ),
    }),
    maxOperations,
  ),
};

export type UnitEntity = TypeOf<typeof UnitEntity>;
export const UnitEntity = entity("Unit", "A unit as the cluster has it.", {
  name: unitName,
  "options?": list("The options of the unit file, in order.", ref(UnitOptionEntity)),
  "desiredState?": desiredState,
  "currentState?": currentState,
  "machineID?": placedOn,
  "app?": text("The application that owns the unit. Absent if none does."),
  "unreadable?": text(
    "Why the store's record of the unit is unreadable: the desired state is unknown, and the unit left as it is.",
  ),
});

export type UnitPage = TypeOf<typeof UnitPage>;
export const UnitPage = entity("UnitPage", "One page of the units.", {
  "units?": list("Units, by name.", ref(UnitEntity)),
  "nextPageToken?": nextPageToken,
});

export type UnitStateEntity = TypeOf<typeof UnitStateEntity>;
export const UnitStateEntity = entity("UnitState", "The state of a unit on one machine.", {
  name: unitName,
  "hash?": hash,
  machineID,
  "systemdLoadState?": text("systemd's `LoadState` of the unit."),
  "systemdActiveState?": text("systemd's `ActiveState` of the unit."),
  "systemdSubState?": text("systemd's `SubState` of the unit."),
  "health?": text(
    "The result of the latest health check. Absent without `HealthCheck=`, before the first check, and while the unit " +
      "is not active.",
    { enum: ["passing", "failing"] },
  ),
  "healthReason?": text("Why the health check fails. Only with `failing`."),
  "healthSince?": count("When `health` became what it is, in milliseconds since the epoch. Only with `health`."),
});

export type UnitStatePage = TypeOf<typeof UnitStatePage>;
export const UnitStatePage = entity("UnitStatePage", "One page of the unit states.", {
  "states?": list("Unit states, by unit name and machine ID.", ref(UnitStateEntity)),
  "nextPageToken?": nextPageToken,
});

const amounts = {
  cpu: count("CPU time, in thousandths of a CPU."),
  memory: count("Memory, in bytes."),
  "resources?": map("Counted resources, such as GPUs, by name. Absent if there are none.", count("How many.")),
};

export type MachineEntity = TypeOf<typeof MachineEntity>;
export const MachineEntity = entity("Machine", "A machine that is present in the cluster.", {
  id: machineID,
  "primaryIP?": text("The public address of the machine."),
  "metadata?": map("The effective metadata: the static metadata overlaid with the dynamic.", text("A value.")),
  "cordon?": ref(CordonEntity, "Why the machine takes no new units. Absent if it takes them."),
  "capacity?": object(
    "What units can reserve on the machine. Absent if its version does not know reservations.",
    amounts,
  ),
  "reserved?": object("What its units reserve. Absent in events.", amounts),
});

export type MachinePage = TypeOf<typeof MachinePage>;
export const MachinePage = entity("MachinePage", "One page of the machines.", {
  "machines?": list("Machines, by ID.", ref(MachineEntity)),
  "nextPageToken?": nextPageToken,
});

export type BackupEntity = TypeOf<typeof BackupEntity>;
export const BackupEntity = entity(
  "Backup",
  "What an operator has put into the cluster, at one revision of the store.",
  {
    revision: count("The revision of the store."),
    units: list(
      "Every unit with its options and desired state. Launched units come last, in the order in which they were launched.",
      ref(UnitEntity),
    ),
    metadata: map(
      "The dynamic metadata of machines, present or not, by machine ID.",
      map("Values by key; an empty value hides a static key.", text("A value.")),
    ),
    "cordons?": list("The machines that take no new units, by ID.", ref(CordonEntity)),
  },
);

export type ReasonEntity = TypeOf<typeof ReasonEntity>;
export const ReasonEntity = entity("Reason", "One reason why a machine is not eligible for a unit.", {
  rule: text(
    "The rule that refuses: `MachineID`, `MachineMetadata`, `MachineOf`, `Conflicts`, `Replaces`, " +
      "`StopWhenDisconnected`, `MemoryReserve`, `CPUReserve`, `Resources`, `Spread`, `Quadlet`, `Cordon`, `Drain`, `File`, " +
      "`malformed` or `unreadable`.",
  ),
  reason: text("The reason, as a sentence."),
});

export type MachineExplanationEntity = TypeOf<typeof MachineExplanationEntity>;
export const MachineExplanationEntity = entity("MachineExplanation", "Whether one machine is eligible for a unit.", {
  machineID,
  "primaryIP?": text("The public address of the machine."),
  eligibility: text(
    "`assigned`: the unit is placed on this machine. `eligible`: it could be. `rejected`: it could not, for the given " +
      "reasons. `offline`: the unit is placed on this machine, which is not present. `none`: no machine is considered, " +
      "since the unit is a template or unreadable.",
    { enum: eligibilities },
  ),
  "reasons?": list("Every reason why the machine is not eligible, or may not keep the unit.", ref(ReasonEntity)),
  "pending?": text("What the agent has not done yet, such as `has not started it yet`. Follows the word “which”."),
  "currentState?": stateName("The state that the agent has commanded. Absent while it reports no state of the unit."),
  "restart?": count("The store revision of the restart that the agent has carried out."),
  "state?": ref(UnitStateEntity, "The state of the unit on this machine."),
  "since?": activeSince,
  "error?": text("Why the agent's latest command failed. Absent if it did not."),
  "tries?": count("How often the agent has tried that command. Absent if it does not try again."),
  "retry?": count("When the agent tries it again, in milliseconds since the epoch."),
  "result?": result,
});

export type ExplanationEntity = TypeOf<typeof ExplanationEntity>;
export const ExplanationEntity = entity("Explanation", "The placement of a unit, with the reasons.", {
  name: unitName,
  desiredState,
  "currentState?": currentState,
  hash: text("The SHA-1 of the newest serialized unit file, empty if unreadable.", { pattern: "^([0-9a-f]{40})?$" }),
  "launched?": count("The store revision since which the desired state has been `launched`. Absent if it is not."),
  "restart?": count("The store revision of the latest request for a restart. Absent if there was none."),
  outcome: text(
    "`placed`: on a machine. `waiting`: for an eligible machine. `global`: on every eligible machine. " +
      "`inactive`: not to be placed. `template`: only its instances are placed. `unreadable`: left as it is, since the " +
      "store's record of it is unreadable.",
    { enum: outcomes },
  ),
  summary: text("The explanation in one sentence, without the unit's name."),
  "machineID?": placedOn,
  "why?": text("Why the engine chose that machine."),
  "since?": count("When the engine chose that machine, in milliseconds since the epoch."),
  "next?": text("What the engine is about to do with the unit, if anything. Follows the word “will”."),
  "machines?": list(
    "By ID, the machines that are present, and those that have the unit or are to have it.",
    ref(MachineExplanationEntity),
  ),
  "notes?": list("How other units affect the placement.", text("A sentence.")),
  "warnings?": list("Probable mistakes in the unit, and problems of the cluster.", text("A sentence.")),
  "leader?": text("The machine whose engine leads. Absent while none does."),
  revision: count("The store revision that the explanation is true of."),
});

export type MachineEffectEntity = TypeOf<typeof MachineEffectEntity>;
export const MachineEffectEntity = entity("MachineEffect", "What one machine would do with a unit.", {
  machineID,
  "primaryIP?": text("The public address of the machine."),
  effect: text(
    "`start`, `restart` and `stop`: of the unit. `load`: its file is put in place, and the unit not started. `unload`: " +
      "its file is removed. `move`: the unit stops on the machine `from` and starts on this one.",
    { enum: ["start", "restart", "stop", "load", "unload", "move"] },
  ),
  "from?": text("The machine that the unit moves away from."),
  "along?": text("The unit together with which systemd stops this one, which is not changed itself."),
});

export type PlannedUnitEntity = TypeOf<typeof PlannedUnitEntity>;
export const PlannedUnitEntity = entity("PlannedUnit", "What would become of one unit.", {
  name: unitName,
  change: text(
    "`create`: the unit is new. `replace`: it gets another file. `update`: it gets another desired state. `adopt`: the " +
      "application becomes its owner, and nothing else is changed. `destroy`. `refuse`: the change would be refused. " +
      "`none`: the unit itself is not changed.",
    { enum: ["create", "replace", "update", "adopt", "destroy", "refuse", "none"] },
  ),
  "desiredState?": stateName("The desired state after the changes. Absent if the unit is destroyed or refused."),
  "was?": ref(UnitEntity, "The unit as the cluster has it, with its options if its file is replaced. Absent if new."),
  "revision?": count("The store revision at which the unit was last written. Absent if new."),
  "effects?": list("The effects on machines, by machine ID.", ref(MachineEffectEntity)),
  "machineID?": text("The machine that the unit would be placed on. Absent for global units, and if there is none."),
  "why?": text("Why the engine would choose that machine."),
  "waiting?": text("Why the unit would have no machine although it should, in one sentence."),
  "machines?": list(
    "While the unit would wait: the machines that are not eligible, with every reason.",
    object("One machine.", {
      machineID,
      "primaryIP?": text("The public address of the machine."),
      reasons: list("Every reason why it is not eligible.", ref(ReasonEntity)),
    }),
  ),
  "refusal?": text("Why the change would be refused."),
  "warnings?": list("Probable mistakes in the unit file, also those that systemd finds.", text("A sentence.")),
});

export type PlanEntity = TypeOf<typeof PlanEntity>;
export const PlanEntity = entity("Plan", "What would happen because of changes that have not been made.", {
  revision: count("The store revision that the plan was made at."),
  "units?": list(
    "Units in the order of the request, then units that are destroyed, then others that are affected, by name.",
    ref(PlannedUnitEntity),
  ),
  "left?": list(
    "Without `prune`, the units of the application that the request does not name. They stay as they are.",
    unitName,
  ),
  "drains?": list(
    "The drains of the machines that the request names in `drain`, as they would begin: by machine ID, each with its " +
      "units.",
    ref(DrainEntity),
  ),
});

export type UnitStatusEntity = TypeOf<typeof UnitStatusEntity>;
export const UnitStatusEntity = entity("UnitStatus", "The properties of a unit in systemd on one machine.", {
  name: unitName,
  machineID,
  properties: map("The properties as in `systemctl show`; several values of one are lines.", text("A value.")),
});

export type ErrorEntity = TypeOf<typeof ErrorEntity>;
export const ErrorEntity = entity("Error", "A refusal or a failure.", {
  error: object("What went wrong.", {
    code: count("The HTTP status code."),
    message: text("What went wrong, never empty."),
  }),
});

export type AccessEntity = TypeOf<typeof AccessEntity>;
export const AccessEntity = entity("Access", "What the client that asks may do.", {
  role: text("`read`: requests that change nothing. `write`: every request.", { enum: ["read", "write"] }),
  "as?": text("The name of the token or certificate that authorizes the client, if one does."),
});

export type AcceptedStoreEntity = TypeOf<typeof AcceptedStoreEntity>;
export const AcceptedStoreEntity = entity(
  "AcceptedStore",
  "A store that the daemon has accepted in place of another.",
  {
    was: object("The store that the daemon knew before.", {
      id: text("The ID of that store."),
      revision: count("The highest revision that the daemon has seen of it."),
    }),
    accepted: object("The store that the daemon knows from now on.", {
      "id?": text("The ID of that store. Absent if it is empty."),
      revision: count("Its revision."),
    }),
  },
);

const time = count(
  "When the change happened or, if unknown, when the daemon saw it: milliseconds since the epoch. Absent " +
    "in events that come before `synced`.",
);

export type ChangeEntity = TypeOf<typeof ChangeEntity>;
export const ChangeEntity = entity("Change", "A change that a client has asked for.", {
  at: count("When it was asked for, in milliseconds since the epoch."),
  by: text("The token, certificate, user or address that asked for it, for people to read."),
  "what?": text(
    "The kind of the change: that of its roll-out, such as `apply`, or `restart` and the like. Absent for a PUT.",
  ),
});

export type VersionEntity = TypeOf<typeof VersionEntity>;
export const VersionEntity = entity("Version", "A file that a unit has, or has had.", {
  version: count("1 for the unit's first file, and one more for each file that has replaced another.", 1),
  hash: text("The SHA-1 of the serialized unit file.", { pattern: "^[0-9a-f]{40}$" }),
  "changed?": ref(ChangeEntity, "Who put the file, if known."),
  "missing?": flag("True if the store no longer has the file."),
  "restarts?": list("At most five requested restarts of the unit with this file, newest first.", ref(ChangeEntity)),
  "options?": list("The options of the file, in order; only with `version`.", ref(UnitOptionEntity)),
});

export const PlacementEntity = entity("Placement", "A decision of the engine about a unit.", {
  at: count("When the engine decided, in milliseconds since the epoch."),
  machineID,
  why: text("The reason, a sentence for people."),
});

export type HistoryEntity = TypeOf<typeof HistoryEntity>;
export const HistoryEntity = entity("History", "The versions of a unit, and where it has been.", {
  name: unitName,
  "placements?": list(
    "At most ten machines of the unit, newest first. If no machine is eligible any more, those since it was last started " +
      "are forgotten.",
    ref(PlacementEntity),
  ),
  versions: list("At most ten versions, newest first: the first is the unit's file.", ref(VersionEntity)),
});

/** The states of a step for clients. */
const shownStepStates = ["pending", "changing", "healthy", "failed", "undoing", "undone"] as const;

/** The kinds of changes that a roll-out makes to one unit. */
const stepChanges = ["create", "replace", "update", "adopt", "destroy"] as const;

const versionInUnit = object("A version of a unit.", {
  hash: text("The SHA-1 of the serialized unit file.", { pattern: "^[0-9a-f]{40}$" }),
  desiredState,
});

export type RolloutStepEntity = TypeOf<typeof RolloutStepEntity>;
export const RolloutStepEntity = entity("RolloutStep", "The change of one unit in a roll-out.", {
  name: unitName,
  change: text("What happens to the unit, as in a plan.", { enum: stepChanges }),
  "from?": { ...versionInUnit, description: "The unit before the change. Absent if it is created." },
  "to?": { ...versionInUnit, description: "The unit after the change. Absent if it is destroyed." },
  state: text(
    "`pending`: not changed yet. `changing`: changed, and not known to be healthy yet. `healthy`: done. `failed`: it did " +
      "not become healthy. `undoing` and `undone`: it goes back, or has gone back, to what it was.",
    { enum: shownStepStates },
  ),
  "machines?": object(
    "The progress of a global unit that gets its file, or goes back to its old one, from machine to machine. `machineID` is " +
      "then a machine that is waited for.",
    {
      healthy: count("The number of machines that have the file and are healthy with it."),
      total: count("The number of machines that are to have it."),
    },
  ),
  "machineID?": placedOn,
  "waiting?": text(
    "Why the unit is not healthy now, as the rest of a sentence about it. Only while it is `changing` or `undoing`, and " +
      "never in events.",
  ),
});

export type RolloutEntity = TypeOf<typeof RolloutEntity>;
export const RolloutEntity = entity(
  "Rollout",
  "The latest roll-out of an application: the engine changes its units in batches, and waits for each to be healthy.",
  {
    app: appName,
    id: text("Distinguishes this roll-out from others of the application."),
    what: text("The kind of change.", { enum: rolloutPurposes }),
    status: text(
      "`preparing`: its files are being stored; `running`; `paused`; `rolling-back`: changed units go back to what they were; `done`; `failed`: a unit did not " +
        "become healthy, or was changed by another client; `rolled-back`: all changed units have gone back; `aborted`.",
      { enum: rolloutStatuses },
    ),
    "reason?": text("Why the roll-out failed, goes back or is paused, as a sentence."),
    "changed?": ref(ChangeEntity, "Who started the roll-out, if known."),
    "maxParallel?": count(
      "How many units of a template, or machines of a global unit, are changed at once, if the request said so.",
      1,
    ),
    "rollback?": flag("True if changed units go back after a failure."),
    "steps?": list(
      "The changes, in the order of the request, then destroyed units. In an event only those that have changed since " +
        "the event before; absent in lists of applications.",
      ref(RolloutStepEntity),
    ),
  },
);

export type AppVersionEntity = TypeOf<typeof AppVersionEntity>;
export const AppVersionEntity = entity("AppVersion", "A change of the units of an application.", {
  version: count("1 for the first change of the application, and one more for each later one.", 1),
  what: text("The kind of change.", { enum: rolloutPurposes }),
  "changed?": ref(ChangeEntity, "Who made the change, if known."),
  units: list("The units that it changed, by name.", unitName),
});

export type AppEntity = TypeOf<typeof AppEntity>;
export const AppEntity = entity("App", "An application: units that are changed together.", {
  name: appName,
  version: count("The number of its newest version; 0 if it has none."),
  "changed?": ref(ChangeEntity, "Who made the latest change, if known."),
  size: count("How many units it owns."),
  "rollout?": ref(RolloutEntity, "Its latest roll-out. Absent if there was none."),
  "units?": list(
    "Its units, by name; with `version`, as that version left them, with their options. Absent in lists of applications.",
    ref(UnitEntity),
  ),
  "missing?": list(
    "With `version`, the units whose file of that time the store no longer has.",
    unitName,
  ),
  "versions?": list(
    "At most ten versions, newest first. Absent in lists of applications.",
    ref(AppVersionEntity),
  ),
});

export type AppPage = TypeOf<typeof AppPage>;
export const AppPage = entity("AppPage", "One page of the applications.", {
  "apps?": list("Applications, by name.", ref(AppEntity)),
  "nextPageToken?": nextPageToken,
});

export type UnitEvent = TypeOf<typeof UnitEvent>;
export const UnitEvent = entity("UnitEvent", "A unit was created, changed or destroyed.", {
  name: unitName,
  "unit?": ref(UnitEntity, "The unit, without `options`. Absent if it was destroyed."),
  "hash?": hash,
  "next?": object("The file that a roll-out has given to some machines. Absent if there is none.", {
    hash,
    machines: list("The machines that run it in place of the unit's own file.", text("The ID of a machine.")),
  }),
  "restart?": count(
    "The store revision of the latest request for a restart, 0 if there was none. Absent if destroyed.",
  ),
  "changed?": ref(ChangeEntity, "Who asked for the latest change, if known."),
  "time?": time,
});

export type DecisionEvent = TypeOf<typeof DecisionEvent>;
export const DecisionEvent = entity("DecisionEvent", "The engine placed a unit, or there is no machine for it.", {
  name: unitName,
  "machineID?": text("The machine that the unit is placed on. Absent if it is on none now."),
  "from?": text("The machine that it was on before, if it has moved."),
  "to?": text("The machine that runs a second copy, which is to take the place of the one on `machineID`."),
  why: text("The reason, as a sentence."),
  "since?": count("When the engine decided, in milliseconds since the epoch. Absent without `machineID`."),
  "waiting?": flag("True if the unit is to have a machine and no machine that is present is eligible."),
  "reasons?": list(
    "The most frequent reasons why machines are not eligible while the unit waits. Absent in very large clusters.",
    object("One reason.", {
      machines: count("How many machines are not eligible for this reason.", 1),
      reason: text("The reason, as a sentence."),
    }),
  ),
  "time?": time,
});

export type StateEvent = TypeOf<typeof StateEvent>;
export const StateEvent = entity("StateEvent", "The state of a unit on one machine changed.", {
  name: unitName,
  machineID,
  "state?": ref(UnitStateEntity, "The new state. Absent if the machine no longer has the unit."),
  "restart?": count(
    "The store revision of the restart that the agent has carried out: a restart is done once this is not " +
      "less than the `restart` of the unit.",
  ),
  "restarts?": count("How often systemd itself has restarted the service since its last start. Absent if never.", 1),
  "since?": activeSince,
  "error?": text("Why the agent's latest command failed, or else systemd's `Result` if it is not `success`."),
  "permanent?": flag("True if the command will fail until the unit file or the machine's configuration changes."),
  "result?": result,
  "job?": text("The result of systemd's job for the latest start, such as `done`, if the unit is not active after it."),
  "time?": time,
});

export type MachineEvent = TypeOf<typeof MachineEvent>;
export const MachineEvent = entity("MachineEvent", "A machine joined, changed or left.", {
  id: machineID,
  "machine?": ref(MachineEntity, "The machine. Absent if it has left."),
  "time?": time,
});

export type RolloutEvent = TypeOf<typeof RolloutEvent>;
export const RolloutEvent = entity("RolloutEvent", "A roll-out began or went on.", {
  app: appName,
  "rollout?": ref(RolloutEntity, "The roll-out, with the steps that have changed. Absent if it was deleted."),
  "time?": time,
});

const streamEvents = [
  entity("SyncedEvent", "All events before this one describe the present; those after it are changes.", {
    revision: count("The store revision of the present."),
    "leader?": text("The ID of the machine whose engine leads. Absent while none does."),
  }),
  entity("ResetEvent", "Everything that the stream has sent before is void.", {
    reason: text("The reason, as a sentence."),
  }),
  entity("PartialEvent", "Changes before a certain time are incomplete.", {
    reason: text("The reason, as a sentence."),
    since: count("The time from which on the changes are complete, in milliseconds since the epoch."),
  }),
];

/** Every schema that the OpenAPI document refers to by its title. */
export const components: readonly Component[] = [
  ...[UnitRequest, MetadataRequest, PlanRequest, PlanEntity, PlannedUnitEntity, MachineEffectEntity],
  ...[HistoryEntity, PlacementEntity, VersionEntity],
  ...[UnitOptionEntity, UnitEntity, UnitPage, UnitStateEntity, UnitStatePage],
  ...[MachineEntity, MachinePage, ExplanationEntity, MachineExplanationEntity, ReasonEntity, UnitStatusEntity],
  ...[ErrorEntity, AcceptedStoreEntity, BackupEntity, ChangeEntity, UnitEvent, DecisionEvent, StateEvent, MachineEvent],
  ...[ContentEntity, ContentRequest],
  ...[LossEntity, LossEvent, ...maintenanceComponents],
  ...[AppRequest, RolloutRequest, AppEntity, AppPage, AppVersionEntity],
  ...[RolloutEntity, RolloutStepEntity, RolloutEvent],
  ...[AccessEntity],
  ...[UsageEntity, MachineUsageEntity, UnitUsageEntity],
  ...streamEvents,
];
