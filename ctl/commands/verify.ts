import { checkUnit } from "../../registry/unit_check.ts";
import { isQuadlet } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { printLine } from "../terminal/port.ts";
import { type Columns, type List, listFlags, listView, printList, textColumn } from "../output/list.ts";
import { type SystemdFinding, systemdFindings } from "../units/systemd_verify.ts";
import {
  lineOf,
  type LocalFile,
  LocalFileError,
  namedUnit,
  readLocalFile,
  templateFile,
  unsupportedType,
} from "../units/local_file.ts";

/** One finding about a unit file, with the program that has made it. */
type FileFinding = SystemdFinding & { readonly source: "fleet" | "systemd" };

const columns: Columns<FileFinding> = {
  file: textColumn(({ file }) => file),
  line: { text: ({ line }) => line === undefined ? "-" : String(line), json: ({ line }) => line ?? null },
  severity: textColumn(({ severity }) => severity),
  source: textColumn(({ source }) => source),
  message: textColumn(({ message }) => message),
};

const list: List<FileFinding> = {
  columns,
  defaultFields: "file,line,severity,source,message",
  key: ["file", "line", "message"],
};

/** `fleetctl verify`: checks unit files before they are submitted. */
export const verify: Command = {
  name: "verify",
  isOffline: true,
  group: "units",
  summary: "Check unit files without the cluster",
  usage: "verify [--no-legend] [--fields=NAME,...] [--output=FORMAT] FILE...",
  description:
    `Checks unit files by the rules of fleet, as submit does, and by those of the systemd of this machine, if it
has systemd-analyze. Nothing is sent. The exit status is 1 if there is an error or a warning; notes concern
this machine only, such as a program that is not installed.`,
  examples: [
    { title: "Check all units of a directory", line: "fleetctl verify units/*.service" },
  ],
  flags: listFlags(list),
  async run(context) {
    const { io, args } = context;
    const view = listView(context, list);
    if (args.length === 0) throw new UsageError("no unit files given");
    const checked = await inParallel(args, (argument) => checkFile(context, argument));
    const findings = checked.flatMap(({ findings }) => findings);
    if (findings.length > 0 || !["table", "wide"].includes(view.format)) {
      await printList(context, view, findings);
    } else printLine(io, args.length === 1 ? "No problems found." : `No problems found in ${args.length} files.`);
    if (checked.some(({ bySystemd }) => !bySystemd)) {
      io.log("WARN", "the rules of systemd are not checked: this machine has no systemd-analyze");
    }
    return findings.some(({ severity }) => severity !== "note") ? exitFailure : 0;
  },
};

interface Checked {
  readonly findings: readonly FileFinding[];
  /** False if this machine has no systemd-analyze. */
  readonly bySystemd: boolean;
}

async function checkFile(context: Context, argument: string): Promise<Checked> {
  const unit = namedUnit(argument);
  let file: LocalFile | undefined;
  try {
    file = await readLocalFile(unit.file, context.io) ??
      await readLocalFile(templateFile(unit) ?? unit.file, context.io);
  } catch (error) {
    if (!(error instanceof LocalFileError)) throw error;
    return failed({ file: error.path, ...error.line !== undefined && { line: error.line } }, error.message);
  }
  if (file === undefined) {
    return failed({ file: argument }, await unsupportedType(argument, context.io) ?? `no such file as ${unit.file}`);
  }
  const own = ownFindings(unit.name, file);
  // systemd-analyze does not know Quadlet files.
  const theirs = isQuadlet(unit.name) ? [] : await systemdFindings(context.hosts, unit);
  // systemd reports the same lines: each is printed once.
  const lines = new Set(own.map(({ line }) => line).filter((line) => line !== undefined));
  return {
    findings: [
      ...own,
      ...(theirs ?? []).filter(({ line }) => line === undefined || !lines.has(line))
        .map((finding) => ({ ...finding, source: "systemd" as const })),
    ],
    bySystemd: theirs !== undefined,
  };
}

function failed(place: Pick<FileFinding, "file" | "line">, message: string): Checked {
  return { findings: [{ ...place, severity: "error", source: "fleet", message }], bySystemd: true };
}

function ownFindings(name: string, file: LocalFile): FileFinding[] {
  const { path, ignored } = file;
  const found: FileFinding[] = ignored.map(({ line, message }) => ({
    ...{ file: path, line, severity: "warning", source: "fleet" },
    message: `ignored ${message}`,
  }));
  for (const finding of checkUnit(name, file.options)) {
    const { kind, message } = finding;
    const line = lineOf(file, finding);
    found.push({
      ...{ file: path, ...line !== undefined && { line }, message },
      ...{ severity: kind === "doubtful" ? "warning" : "error", source: "fleet" },
    });
  }
  return found;
}
