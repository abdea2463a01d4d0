import type { MachineEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { findUnits } from "../units/set_state.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { chosenFields, type Columns, listFlags, nothing, printList, textColumn } from "../output/list.ts";
import { machineLegend } from "../machines/format.ts";

interface Row {
  readonly state: UnitStateEntity;
  /** Just its ID if nothing more is known of it. */
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
  summary: "List what the units of the cluster are doing",
  usage: "list-units [-l|--full] [--no-legend] [--fields=...] [--output=wide|json|yaml] [UNIT...]",
  units: { scope: "what can run" },
  description: `Lists the state of every unit that is loaded on a machine, as systemd there sees it. With
units or patterns, only theirs.

Without a header, for scripts:
fleetctl list-units --no-legend

With whole machine IDs and hashes, or only some columns:
fleetctl list-units --full
fleetctl list-units --fields=unit,machine`,
  flags: listFlags(columns, "unit,machine,active,sub"),
  async run(context) {
    const fields = chosenFields(context, columns);
    if (typeof fields === "number") return fields;
    const { client, io, machines } = context;
    const showsMachines = fields.includes("machine");
    if (showsMachines) machines.ask();
    const wanted = await wantedNames(context);
    let states: readonly UnitStateEntity[];
    try {
      states = (await client.states()).filter(({ name = "" }) => wanted.names?.has(name) ?? true);
    } catch (error) {
      complain(io, `Error retrieving list of units from repository: ${reasonOf(error)}`);
      return exitFailure;
    }
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const rows = states.map((state): Row => {
      const id = state.machineID;
      return id ? { state, machine: known.get(id) ?? { id } } : { state };
    });
    printList(context, columns, fields, rows);
    return wanted.failed ? exitFailure : 0;
  },
};

/** Names of the units that are to be listed; undefined for all. What is not in the cluster has been said. */
async function wantedNames(
  context: Context,
): Promise<{ readonly names?: ReadonlySet<string>; readonly failed: boolean }> {
  if (context.args.length === 0) return { failed: false };
  const { units, missing, unknown } = await findUnits(context);
  return { names: new Set(units.map(({ name }) => name)), failed: missing + unknown > 0 };
}
