import type { MachineEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { findUnits } from "../units/set_state.ts";
import { rethrowAs } from "../terminal/port.ts";
import { chosenFields, type Columns, listFlags, nothing, printList, textColumn } from "../output/list.ts";
import { machineLegend } from "../machines/format.ts";

interface Row {
  readonly state: UnitStateEntity;
  /** Only the ID if the machine is not present. */
  readonly machine?: MachineEntity;
}

const columns: Columns<Row> = {
  unit: textColumn(({ state }) => state.name),
  load: textColumn(({ state }) => state.systemdLoadState),
  active: textColumn(({ state }) => state.systemdActiveState),
  sub: textColumn(({ state }) => state.systemdSubState),
  machine: {
    text: ({ machine }, full) => machine ? machineLegend(machine, full) : nothing,
    json: ({ machine }) => machine?.id ?? null,
  },
  hash: {
    text: ({ state: { hash } }, full) => hash ? (full ? hash : hash.slice(0, 7)) : nothing,
    json: ({ state }) => state.hash || null,
  },
};

/** `fleetctl list-units`. */
export const listUnits: Command = {
  name: "list-units",
  group: "observe",
  summary: "List the states of units in systemd",
  usage: "list-units [-l|--full] [--no-legend] [--fields=NAME,...] [--output=FORMAT] [UNIT...]",
  description: `Lists the state of every unit that is loaded on a machine, as systemd reports it there. With units or
patterns, only theirs.`,
  examples: [
    { title: "List all loaded units", line: "fleetctl list-units" },
    {
      title: "Print some columns without a header, for a script",
      line: "fleetctl list-units --no-legend --fields=unit,active",
    },
    {
      title: "Print whole machine IDs and hashes as JSON",
      line: "fleetctl list-units --output=json --fields=unit,machine,hash",
    },
  ],
  units: { scope: "runnable units", areOptional: true },
  flags: listFlags(columns, "unit,machine,active,sub"),
  async run(context) {
    const fields = chosenFields(context, columns);
    const { client, machines } = context;
    const showsMachines = fields.includes("machine");
    if (showsMachines) machines.prefetch();
    const { names, failed } = await selectedNames(context);
    const states = (await client.states().catch(rethrowAs("Error retrieving the list of units")))
      .filter(({ name = "" }) => names?.has(name) ?? true);
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const rows = states.map((state): Row => {
      const id = state.machineID;
      return id ? { state, machine: known.get(id) ?? { id } } : { state };
    });
    await printList(context, columns, fields, rows);
    return failed ? exitFailure : 0;
  },
};

/** Returns the names of the units to list, undefined for all, after an error message for each that does not exist. */
async function selectedNames(
  context: Context,
): Promise<{ readonly names?: ReadonlySet<string>; readonly failed: boolean }> {
  if (context.args.length === 0) return { failed: false };
  const { units, missing, unknown } = await findUnits(context);
  return { names: new Set(units.map(({ name }) => name)), failed: missing + unknown > 0 };
}
