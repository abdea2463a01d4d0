import type { MachineEntity, UnitEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { findUnits, isGlobal } from "../units/set_state.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { chosenFields, type Column, type Columns, listFlags, nothing, printList, textColumn } from "../output/list.ts";
import { machineLegend } from "../machines/format.ts";
import { optionsOf } from "../units/resolve_source.ts";

interface Row {
  readonly unit: UnitEntity;
  readonly global: boolean;
  /** Of its file; "" unless it is to be shown. */
  readonly hash: string;
  /** Where it is placed; just the ID if nothing more is known of the machine. */
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
  summary: "List the units that are in the cluster, and where they are to run",
  usage: "list-unit-files [-l|--full] [--no-legend] [--fields=...] [--output=wide|json|yaml] [UNIT...]",
  units: { scope: "every unit" },
  description: `Lists every unit in the cluster, loaded on a machine or not: what it is wanted in
(dstate), what its machine was told (state), and which machine that is (target).
With units or patterns, only those.`,
  flags: listFlags(columns, "unit,hash,dstate,state,target"),
  async run(context) {
    const fields = chosenFields(context, columns);
    if (typeof fields === "number") return fields;
    const { client, io, machines } = context;
    for (const field of fields) {
      if (field === "tmachine") complain(io, 'WARNING: The "tmachine" field is deprecated. Use "target" instead');
    }
    const showsMachines = fields.includes("target") || fields.includes("tmachine");
    if (showsMachines) machines.ask();
    let units: readonly UnitEntity[];
    let failed = false;
    try {
      if (context.args.length === 0) units = await client.units();
      else {
        const found = await findUnits(context);
        units = found.units;
        failed = found.missing + found.unknown > 0;
      }
    } catch (error) {
      complain(io, `Error retrieving list of units from repository: ${reasonOf(error)}`);
      return exitFailure;
    }
    for (const { name, unreadable } of units) {
      if (unreadable !== undefined) complain(io, `WARNING: Unit ${name}: ${unreadable}. See: fleetctl explain ${name}`);
    }
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const hashOf = fields.includes("hash") ? await hashing() : () => "";
    const rows = units.map((unit): Row => {
      const id = unit.machineID;
      return { unit, global: isGlobal(unit), hash: hashOf(unit), ...(id ? { machine: known.get(id) ?? { id } } : {}) };
    });
    printList(context, columns, fields, rows);
    return failed ? exitFailure : 0;
  },
};

async function hashing(): Promise<(unit: UnitEntity) => string> {
  const { hashUnitFile } = await import("../../systemd/unit_hash.ts");
  return (unit) => hashUnitFile(serializeUnitFile(optionsOf(unit.options)));
}
