import { counted } from "../../runtime/counted.ts";
import type { BackupEntity, PlannedUnitEntity } from "../../daemon/api/v1/types.ts";
import { switchFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { documentText } from "../output/list.ts";
import { changeLines, exitChanges, planFormat, planOutputFlag } from "../output/plan.ts";
import { printError, printLine, ReaderGoneError, reasonOf, rethrowAs } from "../terminal/port.ts";
import {
  type Backup,
  backupFile,
  type LabelChange,
  planRestore,
  readBackup,
  type RestorePlan,
} from "../units/backup.ts";
import { attachedFiles } from "../../registry/attached_files.ts";
import { uploadContents } from "../units/attached_contents.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";

const dryRunFlag = switchFlag("dry-run", "Show what would be created and changed, and change nothing");

/** `fleetctl restore`: puts the units and labels of a backup into the cluster. */
export const restore: Command = {
  name: "restore",
  isNew: true,
  group: "cluster",
  summary: "Put the units of a backup into the cluster",
  usage: "restore [--dry-run] [--yes] [--output=FORMAT] DIRECTORY",
  description:
    `Creates the units and sets the labels of a directory that fleetctl backup has written. What the cluster has
already stays as it is; units that are not in the backup stay, too. A unit or label that differs is changed only
after a question, which --yes answers; without a terminal, --yes is required.

Machines that were cordoned are cordoned again. First come cordons and labels, then the units, launched ones in the
order in which they were launched. The command does not wait until units run. It can be repeated: only what is missing
is done again.

With --dry-run, the exit status is 0 if nothing would change, 2 if something would, and 1 after an error.`,
  examples: [
    { title: "Show what a restore would do", line: "fleetctl restore --dry-run fleet-2026-11-28" },
    {
      title: "Restore units and change those that differ, without a question",
      line: "fleetctl restore --yes fleet-2026-11-28",
    },
  ],
  flags: [dryRunFlag, yesFlag, planOutputFlag],
  usageStatus: exitFailure,
  async run(context) {
    const { client, io, args, flags } = context;
    planFormat(context);
    const [directory, ...more] = args;
    if (directory === undefined || more.length > 0) throw new UsageError("name the directory of one backup");
    const backup = await readBackup(io, directory);
    for (const path of backup.ignored) io.log("WARN", `${path} is not in ${backupFile} and is ignored`);
    for (const error of backup.errors) printError(io, error);
    if (backup.errors.length > 0) return exitFailure;
    const cluster = await client.backup().catch(rethrowAs("Error retrieving the units of the cluster"));
    const plan = planRestore(backup, cluster);
    if (flags.on(dryRunFlag.name)) return await show(context, plan, backup, cluster);
    await confirmChanges(context, plan);
    return await carryOut(context, plan, backup);
  },
};

const isChanged = ({ change }: PlannedUnitEntity) => change !== "none";

/** Prints what a restore would do. Returns the exit status. */
async function show(context: Context, plan: RestorePlan, backup: Backup, { revision }: BackupEntity): Promise<number> {
  const { io } = context;
  const format = planFormat(context);
  const changed = plan.units.filter(isChanged);
  if (format === "json" || format === "yaml") io.out(await documentText({ revision, ...plan }, format));
  else {
    const files = new Map(backup.units.map((unit) => [unit.name, { ...unit, contents: backup.contents }]));
    for (const label of plan.labels) {
      const before = label.was === undefined ? "" : ` (now ${JSON.stringify(label.was)})`;
      printLine(io, `${label.was === undefined ? "+" : "~"} label ${labelText(label)}${before}`);
    }
    for (const { machine, why } of plan.cordons) printLine(io, `+ cordon ${machine}${why && `: ${why}`}`);
    for (const unit of changed) {
      for (const line of await changeLines(context, unit, files.get(unit.name))) printLine(io, line);
    }
    printLine(io, `Compared with revision ${revision}: ${summary(plan)}. Nothing was changed.`);
  }
  return changed.length + plan.labels.length + plan.cordons.length > 0 ? exitChanges : 0;
}

function labelText({ machine, key, value }: LabelChange): string {
  return `${machine} ${value === "" ? `${key} removed` : `${key}=${value}`}`;
}

function summary({ units, labels, cordons, kept }: RestorePlan): string {
  const count = (change: string) => units.filter((unit) => unit.change === change).length;
  const parts: readonly (readonly [number, string])[] = [
    [count("create"), "to create"],
    [count("replace"), "to replace"],
    [count("update"), "to update"],
    [count("none"), "unchanged"],
    [kept.length, "not in the backup"],
  ];
  const shown = parts.filter(([count]) => count > 0).map(([count, words]) => `${count} ${words}`);
  const all = shown.length === 0 ? "no units" : `units: ${shown.join(", ")}`;
  const machines = [
    ...labels.length === 0 ? [] : [`${counted(labels.length, "label")} to set`],
    ...cordons.length === 0 ? [] : [`${counted(cordons.length, "machine")} to cordon`],
  ];
  return [...machines, all].join("; ");
}

/** Asks before anything that the cluster has is changed. Throws if the answer is no, or cannot be asked for. */
async function confirmChanges({ io, flags }: Context, { units, labels }: RestorePlan): Promise<void> {
  const overwritten = [
    ...units.filter(({ change }) => change === "replace" || change === "update").map(({ name }) => name),
    ...labels.filter(({ was }) => was !== undefined).map(({ machine, key }) => `label ${key} of ${machine}`),
  ];
  if (overwritten.length === 0 || flags.on(yesFlag.name)) return;
  const differ = `These differ from the backup: ${overwritten.join(", ")}`;
  const answer = await io.confirm(`${differ}. They would be changed, as --${dryRunFlag.name} shows. Continue?`);
  if (answer === false) throw new Error(nothingDone);
  if (answer === undefined) {
    throw new Error(`${differ}. --${dryRunFlag.name} shows how, --${yesFlag.name} changes them. Nothing was changed.`);
  }
}

async function carryOut({ client, io }: Context, plan: RestorePlan, backup: Backup): Promise<number> {
  let failures = 0;
  const attempt = async (what: string, change: () => Promise<void>) => {
    await change().catch((error) => {
      if (error instanceof ReaderGoneError) throw error;
      failures++;
      printError(io, `Error restoring ${what}: ${reasonOf(error)}`);
    });
  };
  for (const { machine, why } of plan.cordons) {
    await attempt(`the cordon of machine ${machine}`, async () => {
      await client.maintenance.cordon(machine, why);
      printLine(io, `Machine ${machine} cordoned`);
    });
  }
  // Labels first: units may require them.
  for (const [machine, labels] of Map.groupBy(plan.labels, ({ machine }) => machine)) {
    await attempt(`the labels of machine ${machine}`, async () => {
      await client.label(machine, labels.map(({ key, value }) => value === "" ? { key } : { key, value }));
      for (const label of labels) printLine(io, `Machine ${labelText(label)}`);
    });
  }
  const files = new Map(backup.units.map((unit) => [unit.name, unit]));
  // One after the other: of units that conflict, the one that was launched first takes precedence.
  for (const { name, change } of plan.units.filter(isChanged)) {
    const { options, desiredState, app } = files.get(name)!;
    await attempt(`unit ${name}`, async () => {
      const named = attachedFiles(options).flatMap(({ content }) => content ? [content.hash] : []);
      const contents = named.flatMap((hash) =>
        backup.contents.has(hash) ? [[hash, backup.contents.get(hash)!] as const] : []
      );
      if (change !== "update") await uploadContents(client, new Map(contents));
      await client.putUnit({
        name,
        desiredState,
        ...change !== "update" && { options },
        ...app !== undefined && { app },
      });
      printLine(io, `Unit ${name} ${desiredState}`);
    });
  }
  if (failures > 0) return exitFailure;
  const [done, unchanged] = [plan.units.filter(isChanged).length, plan.units.filter((unit) => !isChanged(unit)).length];
  printLine(
    io,
    `Restored ${counted(done, "unit")} and ${counted(plan.labels.length, "label")}; unchanged: ${unchanged}`,
  );
  return 0;
}
