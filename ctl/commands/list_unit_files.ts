import { commandLine } from "../../runtime/command_line.ts";
import type { MachineEntity, UnitEntity } from "../../daemon/api/v1/types.ts";
import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { findUnits, isGlobal } from "../units/set_state.ts";
import { unitMatcher } from "../units/select.ts";
import { printError, rethrowAs } from "../terminal/port.ts";
import { type Column, type Columns, nothing, textColumn } from "../output/list.ts";
import { type ClusterList, clusterListFlags, runList } from "../output/watch.ts";
import { isMachine, machineLegend } from "../machines/format.ts";
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
  matches: ({ global, machine }, wanted) =>
    global ? wanted === "global" : machine !== undefined && isMachine(machine, wanted),
};

const columns: Columns<Row> = {
  unit: textColumn(({ unit }) => unit.name),
  global: { text: ({ global }) => String(global), json: ({ global }) => global },
  dstate: textColumn(({ unit }) => unit.desiredState),
  state: textColumn(({ unit, global }) => global ? undefined : unit.currentState),
  target,
  tmachine: { ...target, deprecated: true },
  hash: { text: ({ hash }, full) => full ? hash : hash.slice(0, 7), json: ({ hash }) => hash },
  app: textColumn(({ unit }) => unit.app),
  desc: textColumn(({ unit }) =>
    optionsOf(unit.options).find((option) => option.section === "Unit" && option.name === "Description")?.value
  ),
};

const list: ClusterList<Row> = {
  columns,
  defaultFields: "unit,hash,dstate,state,target",
  key: ["unit"],
  filters: {
    name: { fields: ["unit"], matches: ({ unit }, wanted) => unitMatcher(wanted)(unit.name) },
    state: {
      fields: ["state", "dstate"],
      matches: ({ unit, global }, wanted) => (global ? unit.desiredState : unit.currentState) === wanted,
    },
    machine: { fields: ["target"], matches: (row, wanted) => target.matches!(row, wanted) },
  },
  kinds: ["unit", "machine"],
  scope: "every unit",
  async read(context, needed) {
    const { client, io, machines } = context;
    if (needed.has("tmachine")) printError(io, 'WARNING: The "tmachine" field is deprecated. Use "target" instead');
    const showsMachines = needed.has("target") || needed.has("tmachine");
    if (showsMachines) machines.prefetch();
    const { units, missing, unknown } = context.args.length > 0
      ? await findUnits(context)
      : { units: await client.units().catch(rethrowAs("Error retrieving the list of units")), missing: 0, unknown: 0 };
    for (const { name, unreadable } of units) {
      if (unreadable !== undefined) {
        const see = commandLine(["fleetctl", "explain"], [name]);
        printError(io, `WARNING: Unit ${name}: ${unreadable}. See: ${see}`);
      }
    }
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const hashOf = needed.has("hash") ? await hashing() : () => "";
    const rows = units.map((unit): Row => {
      const id = unit.machineID;
      return { unit, global: isGlobal(unit), hash: hashOf(unit), ...(id ? { machine: known.get(id) ?? { id } } : {}) };
    });
    return { rows, status: missing + unknown > 0 ? exitFailure : 0 };
  },
};

/** `fleetctl list-unit-files`. */
export const listUnitFiles: Command = {
  name: "list-unit-files",
  group: "observe",
  summary: "List the units of the cluster with their desired states",
  usage:
    "list-unit-files [-w|--watch] [-o|--output=FORMAT] [--fields=NAME,...] [--filter=KEY=VALUE,...] [--sort=NAME[:desc],...] [UNIT...]",
  description: `Lists every unit of the cluster, whether a machine has it or not: its desired state (dstate), the state
that its machine has been given (state), and that machine (target). With units or patterns, only those.`,
  examples: [
    { title: "List all units", line: "fleetctl list-unit-files" },
    { title: "List units that have no machine", line: "fleetctl list-unit-files --filter target=-,dstate=launched" },
    {
      title: "Print the names of the instances of a template",
      line: "fleetctl list-unit-files --no-legend --fields=unit 'web@*'",
    },
  ],
  units: { scope: "every unit", areOptional: true },
  flags: clusterListFlags(list),
  run: (context) => runList(context, list),
};

async function hashing(): Promise<(unit: UnitEntity) => string> {
  const { hashUnitFile } = await import("../../systemd/unit_hash.ts");
  return (unit) => hashUnitFile(serializeUnitFile(optionsOf(unit.options)));
}
