/**
 * Help pages.
 *
 * @module
 */

import type { FlagSpec } from "./argv.ts";
import type { Command } from "./command.ts";
import { globalFlags } from "./global_flags.ts";
import { alignRows } from "../output/table.ts";
import { version } from "../version.ts";

const programName = "fleetctl";
const programSummary = "the command-line client of fleet, the cluster-wide init system";

/** The page about fleetctl itself. */
export function rootHelp(commands: readonly Command[]): string {
  const rows = commands.filter((command) => !command.isHidden)
    .map((command) => ["", command.name, command.summary]);
  return section("NAME", `\t${programName} - ${programSummary}\n`) +
    section("USAGE", `\t${programName} [global flags] COMMAND [flags] [arguments]\n`) +
    section("VERSION", `\t${version}\n`) +
    section("COMMANDS", alignRows(rows)) +
    section("OPTIONS", flagLines(globalFlags)) + "\n";
}

/** The page about one command. */
export function commandHelp(command: Command): string {
  return section("NAME", `\t${command.name} - ${command.summary}\n`) +
    section("USAGE", `\t${programName} ${command.usage}\n`) +
    (command.description ? section("DESCRIPTION", indent(command.description)) : "") +
    (command.flags.length > 0 ? section("OPTIONS", flagLines(command.flags)) : "") +
    section("GLOBAL OPTIONS", flagLines(globalFlags)) + "\n";
}

function section(title: string, body: string): string {
  return `${title === "NAME" ? "" : "\n"}${title}:\n${body}`;
}

function indent(text: string): string {
  return text.split("\n").map((line) => line === "" ? "\n" : `\t${line}\n`).join("");
}

function flagLines(flags: readonly FlagSpec[]): string {
  const rows = [...flags].sort((a, b) => a.name < b.name ? -1 : 1).map((flag) =>
    [leftOf(flag), rightOf(flag)] as const
  );
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}   ${right}\n`).join("");
}

function leftOf(flag: FlagSpec): string {
  const short = flag.letter ? `  -${flag.letter}, ` : "      ";
  const value = { switch: "", text: " string", count: " int", seconds: " float" }[flag.kind];
  return `${short}--${flag.name}${value}`;
}

function rightOf(flag: FlagSpec): string {
  if (flag.fallback === false || flag.fallback === "" || flag.fallback === 0) return flag.help;
  return `${flag.help} (default ${typeof flag.fallback === "string" ? JSON.stringify(flag.fallback) : flag.fallback})`;
}

/** One line that says how a command is used, or where to look for that. */
export function usageLine(command: Command | undefined): string {
  if (!command) return `Run '${programName} --help' for usage.`;
  return `Usage: ${programName} ${command.usage} (${programName} help ${command.name} says more)`;
}
