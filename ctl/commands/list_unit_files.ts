import type { MachineEntity, UnitEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { findUnits, isGlobal } from "../units/set_state.ts";
import { printError, rethrowAs } from "../terminal/port.ts";
import { chosenFields, type Column, type Columns, listFlags, nothing, printList, textColumn } from "../output/list.ts";
import { machineLegend } from "../machines/format.ts";
import { optionsOf } from "../units/resolve_source.ts";

interface Row {
  readonly unit: UnitEntity;
  readonly global: boolean;
  /** The hash of the file; "" unless it is shown. */
  readonly hash: string;
  /** The machine of the unit; only its ID if the machine is not present. */
  readonly machine?: MachineEntity;
}

const target: Column<Row> = {
  text: ({ global, machine }, full) => global ? "global" : machine ? machineLegend(machine, full) : nothing,
  json: ({ global, machine }) => global ? "global" : machine?.id ?? null,
};

const columns: Columns<Row> = {
  unit: textColumn(({ unit }) => unit.name),
  global: { text: ({ global }) => String(global), json: ({ global }) => global },
  dstate: textColumn(({ unit }) => unit.desiredState),
  state: textColumn(({ unit, global }) => global ? undefined : unit.currentState),
  target,
  tmachine: { ...target, deprecated: true },
  hash: { text: ({ hash }, full) => full ? hash : hash.slice(0, 7), json: ({ hash }) => hash },
  desc: textColumn(({ unit }) =>
    optionsOf(unit.options).find((option) => option.section === "Unit" && option.name === "Description")?.value
  ),
};

/** `fleetctl list-unit-files`. */
export const listUnitFiles: Command = {
  name: "list-unit-files",
  group: "observe",
  summary: "List the units of the cluster with their desired states",
  usage: "list-unit-files [-l|--full] [--no-legend] [--fields=NAME,...] [--output=FORMAT] [UNIT...]",
  description: `Lists every unit of the cluster, whether a machine has it or not: its desired state (dstate), the state
that its machine has been given (state), and that machine (target). With units or patterns, only those.`,
  examples: [
    { title: "List all units", line: "fleetctl list-unit-files" },
    {
      title: "Print the names of the instances of a template",
      line: "fleetctl list-unit-files --no-legend --fields=unit 'web@*'",
    },
  ],
  units: { scope: "every unit", areOptional: true },
  flags: listFlags(columns, "unit,hash,dstate,state,target"),
  async run(context) {
    const fields = chosenFields(context, columns);
    const { client, io, machines } = context;
    for (const field of fields) {
      if (field === "tmachine") printError(io, 'WARNING: The "tmachine" field is deprecated. Use "target" instead');
    }
    const showsMachines = fields.includes("target") || fields.includes("tmachine");
    if (showsMachines) machines.prefetch();
    const { units, missing, unknown } = context.args.length > 0
      ? await findUnits(context)
      : { units: await client.units().catch(rethrowAs("Error retrieving the list of units")), missing: 0, unknown: 0 };
    for (const { name, unreadable } of units) {
      if (unreadable !== undefined) {
        printError(io, `WARNING: Unit ${name}: ${unreadable}. See: fleetctl explain ${name}`);
      }
    }
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const hashOf = fields.includes("hash") ? await hashing() : () => "";
    const rows = units.map((unit): Row => {
      const id = unit.machineID;
      return { unit, global: isGlobal(unit), hash: hashOf(unit), ...(id ? { machine: known.get(id) ?? { id } } : {}) };
    });
    await printList(context, columns, fields, rows);
    return missing + unknown > 0 ? exitFailure : 0;
  },
};

async function hashing(): Promise<(unit: UnitEntity) => string> {
  const { hashUnitFile } = await import("../../systemd/unit_hash.ts");
  return (unit) => hashUnitFile(serializeUnitFile(optionsOf(unit.options)));
}
