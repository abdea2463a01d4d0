import type { MachineEntity, UnitStateEntity } from "../../daemon/api/v1/types.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { findUnits } from "../units/set_state.ts";
import { unitMatcher } from "../units/select.ts";
import { rethrowAs } from "../terminal/port.ts";
import { type Columns, nothing, textColumn, type Tone } from "../output/list.ts";
import { type ClusterList, clusterListFlags, runList } from "../output/watch.ts";
import { isMachine, machineLegend } from "../machines/format.ts";

interface Row {
  readonly state: UnitStateEntity;
  /** Only the ID if the machine is not present. */
  readonly machine?: MachineEntity;
  /** The application that owns the unit. */
  readonly app?: string;
}

const tones: Readonly<Record<string, Tone>> = {
  ...{ active: "good", failed: "bad" },
  ...{ activating: "busy", deactivating: "busy", reloading: "busy", refreshing: "busy", maintenance: "busy" },
};

const columns: Columns<Row> = {
  unit: textColumn(({ state }) => state.name),
  load: {
    ...textColumn(({ state }) => state.systemdLoadState),
    tone: ({ state }) => ["loaded", ""].includes(state.systemdLoadState ?? "") ? undefined : "bad",
  },
  active: {
    ...textColumn(({ state }) => state.systemdActiveState),
    tone: ({ state }) => tones[state.systemdActiveState ?? ""],
  },
  sub: textColumn(({ state }) => state.systemdSubState),
  app: textColumn(({ app }) => app),
  machine: {
    text: ({ machine }, full) => machine ? machineLegend(machine, full) : nothing,
    json: ({ machine }) => machine?.id ?? null,
    matches: ({ machine }, wanted) => machine !== undefined && isMachine(machine, wanted),
  },
  health: {
    ...textColumn(({ state }) => state.health),
    tone: ({ state }) => state.health === undefined ? undefined : state.health === "passing" ? "good" : "bad",
  },
  hash: {
    text: ({ state: { hash } }, full) => hash ? (full ? hash : hash.slice(0, 7)) : nothing,
    json: ({ state }) => state.hash || null,
  },
};

const list: ClusterList<Row> = {
  columns,
  defaultFields: "unit,machine,active,sub",
  key: ["unit", "machine"],
  filters: {
    name: { fields: ["unit"], matches: ({ state }, wanted) => unitMatcher(wanted)(state.name) },
    state: {
      fields: ["load", "active", "sub"],
      matches: ({ state }, wanted) =>
        [state.systemdActiveState, state.systemdSubState, state.systemdLoadState].includes(wanted),
    },
  },
  kinds: ["state", "machine"],
  scope: "runnable units",
  async read(context, needed) {
    const { client, machines } = context;
    const showsMachines = needed.has("machine");
    if (showsMachines) machines.prefetch();
    const { names, failed } = await selectedNames(context);
    const states = (await client.states().catch(rethrowAs("Error retrieving the list of units")))
      .filter(({ name = "" }) => names?.has(name) ?? true);
    const owners = needed.has("app") ? await ownersOf(context) : new Map<string, string>();
    const known = showsMachines ? await machines.all() : new Map<string, MachineEntity>();
    const rows = states.map((state): Row => {
      const id = state.machineID;
      const app = owners.get(state.name);
      return { state, ...id && { machine: known.get(id) ?? { id } }, ...app !== undefined && { app } };
    });
    return { rows, status: failed ? exitFailure : 0 };
  },
};

/** Returns the applications that own units, by unit. */
async function ownersOf({ client }: Context): Promise<ReadonlyMap<string, string>> {
  const units = await client.units().catch(rethrowAs("Error retrieving the owners of units"));
  return new Map(units.flatMap(({ name, app }) => app === undefined ? [] : [[name, app]]));
}

/** `fleetctl list-units`. */
export const listUnits: Command = {
  name: "list-units",
  group: "observe",
  summary: "List the states of units in systemd",
  usage:
    "list-units [-w|--watch] [-o|--output=FORMAT] [--fields=NAME,...] [--filter=KEY=VALUE,...] [--sort=NAME[:desc],...] [UNIT...]",
  description: `Lists the state of every unit that is loaded on a machine, as systemd reports it there. With units or
patterns, only theirs.`,
  examples: [
    { title: "List all loaded units", line: "fleetctl list-units" },
    { title: "Watch the instances of a template", line: "fleetctl list-units --watch 'web@*'" },
    {
      title: "List the failed units of one machine",
      line: "fleetctl list-units --filter state=failed,machine=10.77.0.11",
    },
    { title: "Watch the units of an application", line: "fleetctl list-units --watch --filter app=shop" },
    {
      title: "Restart every failed unit",
      line: "fleetctl list-units --filter state=failed -o name | xargs fleetctl restart",
    },
    {
      title: "Print some columns without a header, for a script",
      line: "fleetctl list-units --no-legend --fields=unit,active",
    },
    { title: "Show the results of health checks", line: "fleetctl list-units --fields=unit,active,health" },
    {
      title: "Print whole machine IDs and hashes as JSON",
      line: "fleetctl list-units --output=json --fields=unit,machine,hash",
    },
  ],
  units: { scope: "runnable units", areOptional: true },
  flags: clusterListFlags(list),
  run: (context) => runList(context, list),
};

/** Returns the names of the units to list, undefined for all, after an error message for each that does not exist. */
async function selectedNames(
  context: Context,
): Promise<{ readonly names?: ReadonlySet<string>; readonly failed: boolean }> {
  if (context.args.length === 0) return { failed: false };
  const { units, missing, unknown } = await findUnits(context);
  return { names: new Set(units.map(({ name }) => name)), failed: missing + unknown > 0 };
}
