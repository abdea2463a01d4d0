import { counted } from "../../runtime/counted.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { printError, printLine, rethrowAs } from "../terminal/port.ts";
import { backupFile, backupFiles, savedContents } from "../units/backup.ts";
import { version } from "../../runtime/version.ts";

/** `fleetctl backup`: saves the units and labels of the cluster in a directory. */
export const backup: Command = {
  name: "backup",
  isNew: true,
  group: "cluster",
  summary: "Save the units of the cluster in a directory",
  usage: "backup DIRECTORY",
  description:
    `Writes a new directory with the file of each unit, and ${backupFile} with the desired states, the labels that
machine label has set, the cordons of machines, and the files of units (File=). All of it is from one revision of the
store. Every file is plain text; fleetctl restore puts them back, and fleetctl diff compares the unit files with a
cluster.

The directory must not exist, and only its owner may read it. What machines do is not saved: where units run, and
their states. A unit that cannot be read is left out, with an error and exit status 1.`,
  examples: [
    { title: "Save the cluster in a directory with today's date", line: "fleetctl backup fleet-$(date +%F)" },
    {
      title: "Save it as one file",
      line: "fleetctl backup fleet-today && tar -czf fleet-today.tar.gz fleet-today",
    },
  ],
  flags: [],
  async run({ client, io, args }) {
    const [directory, ...more] = args;
    if (directory === undefined || more.length > 0) throw new UsageError("name one new directory");
    const cluster = await client.backup().catch(rethrowAs("Error retrieving the backup"));
    const contents = await savedContents(client, cluster).catch(rethrowAs("Error retrieving the files of units"));
    const { files, skipped } = backupFiles(cluster, contents, { fleet: version, taken_ms: io.wall_ms() });
    const path = directory.replace(/(.)\/+$/, "$1");
    await io.createDirectory(path);
    // backup.json comes last.
    for (const [name, text] of files) await io.createFile(`${path}/${name}`, text);
    const machines = Object.keys(cluster.metadata).length;
    const what = `${counted(files.size - 1, "unit")} and the labels of ${counted(machines, "machine")}`;
    printLine(io, `Saved ${what} at revision ${cluster.revision} in ${path}`);
    for (const [name, why] of skipped) printError(io, `Unit ${name} is not in the backup: ${why}`);
    return skipped.size > 0 ? exitFailure : 0;
  },
};
