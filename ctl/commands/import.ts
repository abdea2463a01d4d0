import { counted } from "../../runtime/counted.ts";
import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import type { ApiClient } from "../api/client.ts";
import { secondsFlag, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { compare, type ComparedUnit, type Comparison } from "../import/compare.ts";
import { confirm } from "../import/confirm.ts";
import { moveBack, moveHere } from "../import/move.ts";
import { type LackingMachine, lackingMetadata } from "../import/machine_metadata.ts";
import { connectOld, type OldCluster, readOldCluster } from "../import/old_cluster.ts";
import { lockRecord, MoveRecord } from "../import/record.ts";
import { comparisonSummary, comparisonText, printComparison } from "../import/report.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { machineLegend } from "../machines/format.ts";
import { isDocumentFormat } from "../output/list.ts";
import { exitChanges, planFormat, planOutputFlag } from "../output/plan.ts";
import { outlivingOutput, printError, printLine, reasonOf, rethrowAs } from "../terminal/port.ts";
import { unitMatcher } from "../units/select.ts";
import { yesFlag } from "../units/set_state.ts";
import { settleFlag } from "../waiting/settling.ts";

const startFlag = switchFlag("start", "Stop units in the old cluster and, when they have stopped, start them here");
const backFlag = switchFlag("back", "Stop units here and start them in the old cluster again");
const planFlag = switchFlag("plan", "Show what would be done, and change nothing");
const replaceFlag = switchFlag("replace", "Replace units that differ here, and keep their desired state");

/** `fleetctl import`: takes units over from a cluster of fleet 1.0. */
export const importUnits: Command = {
  name: "import",
  isNew: true,
  group: "cluster",
  summary: "Take units over from a cluster of CoreOS fleet",
  usage: "import --from=URL [--start|--back] [--machine=MACHINE] [--plan] [--replace] [--yes] [PATTERN...]",
  description:
    `Reads units, their states and machines from the API of fleet 1.0, shows how they compare with this cluster, and
stores the units here as inactive. Nothing is changed in the old cluster, and nothing starts here. A unit that
this cluster has with another file stays as it is, unless --replace is given. The plan names the units that this
cluster refuses, options that fleet 1.0 ignores and this fleet does not, and the units that no machine here could
run, with the metadata that is missing.

With --start, units that were imported move: they stop in the old cluster, and start here when it reports that
they have stopped, so that none runs twice. Units that systemd ties together (Requires=, MachineOf=, a socket and
its service, and so on) wait for each other. A unit that could not run here, or of which the old cluster could
not show that it has stopped, stays, with those that are tied to it. All of it can be repeated, also after an
interruption; a unit that was stopped or destroyed here after its move stays so. If units run nowhere at the end,
the command names each, and the commands that start it. --back moves units back that --start has moved. Global
units do not move: start them here with fleetctl start.

The file of --record has what the old cluster forgets: what has moved, and the metadata of its machines. It
belongs to the two clusters, which are recognized by their machines, and one import at a time can use it. When a
machine has changed sides, the plan names the metadata that it had in the old cluster, and lacks here.

The old cluster gets no token, certificate or tunnel of this command line; ssh:// uses its --ssh-… flags. The
exit status is 1 if a unit of the old cluster is not here afterwards with the same file, because it was refused
or is kept with another, or has not moved. With --plan it is the same, but 2 in place of 0 if something would
change.`,
  examples: [
    { title: "Compare an old cluster with this one", line: "fleetctl import --from=http://10.0.0.5:49153 --plan" },
    { title: "The same if its API is a socket", line: "fleetctl import --from=ssh://core@10.0.0.5 --plan" },
    { title: "Store its units here as inactive", line: "fleetctl import --from=http://10.0.0.5:49153" },
    {
      title: "Move the units of one of its machines",
      line: "fleetctl import --from=http://10.0.0.5:49153 --start --machine=454c34ef",
    },
    { title: "Move a unit back", line: "fleetctl import --from=http://10.0.0.5:49153 --back web.service" },
  ],
  flags: [
    textFlag(
      "from",
      "URL,...",
      "The API of the old cluster: http://HOST:PORT or unix:///PATH, the first that answers, or ssh://[USER@]HOST[:PORT]",
    ),
    startFlag,
    backFlag,
    textFlag("machine", "MACHINE", "With --start or --back: only units of this machine of the old cluster"),
    textFlag("record", "FILE", "The file that says what has moved, and which machines the old cluster had", {
      fallback: "fleet-import.json",
    }),
    planFlag,
    replaceFlag,
    yesFlag,
    planOutputFlag,
    secondsFlag(timeoutFlagName, 0, "Limit the wait for units that stop, and for those that start; 0 is no limit"),
    settleFlag,
  ],
  usageStatus: exitFailure,
  async run(context) {
    checkFlags(context);
    const { flags, io } = context;
    const release = flags.on(planFlag.name) ? undefined : await lockRecord(io, flags.text("record"));
    try {
      const old = await connectOld(context, flags.text("from"));
      try {
        return await compareAndImport(context, old);
      } finally {
        old.close();
      }
    } finally {
      release?.();
    }
  },
};

async function compareAndImport(context: Context, old: ApiClient): Promise<number> {
  const { client, flags, io } = context;
  const cluster = await readOldCluster(old);
  const machines = await client.machines().catch(rethrowAs("Error retrieving the machines of this cluster"));
  refuseSharedMachines(client, machines, cluster);
  const record = await MoveRecord.read(io, flags.text("record"), {
    endpoint: flags.text("from"),
    machines: cluster.machines,
  }, { endpoint: client.endpoint, machines });
  const lacking = lackingMetadata(record.oldMachines, machines);
  const matches = selector(context, cluster);
  if (!flags.on(startFlag.name) && !flags.on(backFlag.name)) {
    const units = cluster.units.filter(({ name }) => matches(name));
    return await storeUnits(context, await compare(client, { ...cluster, units }), lacking, record);
  }
  const move = flags.on(startFlag.name) ? moveHere : moveBack;
  return await move(context, old, cluster, record, {
    isPlan: flags.on(planFlag.name),
    format: planFormat(context),
    machine: flags.text("machine"),
    matches,
    lacking,
  });
}

function checkFlags(context: Context): void {
  const { flags } = context;
  const isMove = flags.on(startFlag.name) || flags.on(backFlag.name);
  if (flags.on(startFlag.name) && flags.on(backFlag.name)) {
    throw new UsageError("--start and --back exclude each other");
  }
  if (isMove && flags.on(replaceFlag.name)) {
    throw new UsageError("--replace is for an import without --start or --back");
  }
  const format = planFormat(context);
  if (isMove && isDocumentFormat(format) && !flags.on(planFlag.name)) {
    throw new UsageError(`--output=${format} shows the plan only: add --plan`);
  }
  if (!isMove && flags.given("machine")) throw new UsageError("--machine needs --start or --back");
}

/** Throws if a machine is in both clusters: they are probably the same one. */
function refuseSharedMachines(client: ApiClient, machines: readonly MachineEntity[], old: OldCluster): void {
  const here = new Set(machines.map(({ id }) => id));
  const shared = old.machines.filter(({ id }) => here.has(id)).map((machine) => machineLegend(machine, false));
  if (shared.length === 0) return;
  throw new Error(
    `${shared.join(", ")} is in the old cluster and in this one, at ${client.endpoint}: ` +
      "does --from name this cluster, or a machine that has changed sides? " +
      "On one machine only one fleetd may run; one that was killed stays in its cluster for half a minute",
  );
}

/** Returns the function that selects units by the patterns of the command line. Throws if one matches no unit. */
function selector({ args }: Context, { units }: OldCluster): (name: string) => boolean {
  const matchers = args.map((pattern) => [pattern, unitMatcher(pattern)] as const);
  for (const [pattern, matches] of matchers) {
    if (!units.some(({ name }) => matches(name))) {
      throw new Error(`No unit in the old cluster matches ${JSON.stringify(pattern)}`);
    }
  }
  return (name) => matchers.length === 0 || matchers.some(([, matches]) => matches(name));
}

/** Shows the comparison and, unless `--plan` is given, stores the units here. */
async function storeUnits(
  context: Context,
  comparison: Comparison,
  lacking: readonly LackingMachine[],
  record: MoveRecord,
): Promise<number> {
  const { io, flags } = context;
  const from = flags.text("from");
  const replaces = flags.on(replaceFlag.name);
  const format = planFormat(context);
  const isDocument = isDocumentFormat(format);
  if (isDocumentFormat(format)) io.out(await comparisonText(comparison, lacking, from, format));
  else await printComparison(context, comparison, lacking, replaces);
  const { units } = comparison;
  const changed = units.filter(({ change }) => change === "create" || replaces && change === "differs");
  const left = units.filter(({ change }) => change === "refuse" || !replaces && change === "differs");
  const summary = `${from} has ${comparisonSummary(comparison, replaces)}.`;
  if (flags.on(planFlag.name)) {
    if (!isDocument) printLine(io, `${summary} Nothing was changed.`);
    if (left.length > 0) return exitFailure;
    return changed.length > 0 ? exitChanges : 0;
  }
  if (!isDocument) printLine(io, summary);
  if (changed.length > 0) await confirm(context, `Store ${counted(changed.length, "unit")} here?`);
  return await outlivingOutput(io, async () => {
    // The machines of the old cluster, with their metadata: each leaves it before the end.
    await record.write(record.moved);
    const failures = await store(context, changed, !isDocument);
    if (!isDocument) printLine(io, `Imported ${counted(changed.length - failures, "unit")} from ${from}`);
    return failures + left.length > 0 ? exitFailure : 0;
  });
}

/** Stores units one after the other. Returns the number of failures, after an error message for each. */
async function store(
  { client, io }: Context,
  units: readonly ComparedUnit[],
  printsUnits: boolean,
): Promise<number> {
  let failures = 0;
  for (const { name, old, here } of units) {
    const desiredState = here?.desiredState ?? "inactive";
    try {
      await client.putUnit({ name, options: [...old.options], desiredState });
      if (printsUnits) printLine(io, `Unit ${name} ${here ? "replaced" : desiredState}`);
    } catch (error) {
      failures++;
      printError(io, `Error storing unit ${name} at ${client.endpoint}: ${reasonOf(error)}`);
    }
  }
  return failures;
}
