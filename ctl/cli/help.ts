/**
 * Help pages.
 *
 * @module
 */

import { alignRows } from "../output/table.ts";
import { version } from "../../runtime/version.ts";
import type { FlagSpec } from "./argv.ts";
import { type Command, commandGroups } from "./command.ts";
import { globalFlags } from "./global_flags.ts";

const programName = "fleetctl";
const programSummary = "the command-line client of fleet, the cluster-wide init system";

/** Returns the page about fleetctl itself: every command by its group. */
export function rootHelp(commands: readonly Command[]): string {
  const groups = groupedCommands(commands).map(([title, members]) =>
    `\n\t${title}:\n` + alignRows(members.map(({ name, summary }) => ["", `  ${name}`, summary]))
  );
  return section("NAME", `\t${programName} - ${programSummary}\n`) +
    section("USAGE", `\t${programName} COMMAND [FLAGS] [ARGUMENTS]\n`) +
    section("VERSION", `\t${version}\n`) +
    section("COMMANDS", groups.join("").slice(1)) +
    section(
      "SEE ALSO",
      `\t${programName} help COMMAND    about one command\n\t${programName} options         flags of every command\n`,
    );
}

/** Returns the commands by the heading of their group, without those that only scripts call. */
export function groupedCommands(commands: readonly Command[]): (readonly [title: string, members: Command[]])[] {
  return Object.entries(commandGroups).map(([group, title]) =>
    [title, commands.filter((command) => command.group === group && !command.isHidden)] as const
  );
}

/** Returns the page about one command. */
export function commandHelp(command: Command): string {
  const { name, summary, usage, description, examples, flags } = command;
  const shown = examples.map(({ title, line }) => `# ${title}\n${line}`).join("\n\n");
  return section("NAME", `\t${name} - ${summary}\n`) +
    section("USAGE", `\t${programName} ${usage}\n`) +
    (description ? section("DESCRIPTION", indent(description)) : "") +
    section("EXAMPLES", indent(shown)) +
    (flags.length > 0 ? section("OPTIONS", flagLines(flags)) : "") +
    section("SEE ALSO", `\t${programName} options    flags of every command\n`);
}

/** Returns the page about the flags that every command accepts. */
export function optionsHelp(): string {
  return section("GLOBAL OPTIONS", flagLines(globalFlags)) +
    section(
      "ENVIRONMENT",
      indent(
        "Every global option is also a variable: --ssh-username is FLEETCTL_SSH_USERNAME.\n" +
          "An option on the command line beats the variable; an empty variable counts as unset.\n" +
          "A TIME is a number of seconds, or a time such as 500ms, 30s, 5m or 1h30m.",
      ),
    );
}

function section(title: string, body: string): string {
  return `${["NAME", "GLOBAL OPTIONS"].includes(title) ? "" : "\n"}${title}:\n${body}`;
}

function indent(text: string): string {
  return text.split("\n").map((line) => line === "" ? "\n" : `\t${line}\n`).join("");
}

function flagLines(flags: readonly FlagSpec[]): string {
  const rows = sortedFlags(flags).map((flag) => {
    const short = flag.letter ? `  -${flag.letter}, ` : "      ";
    return [short + flagUsage(flag), flagHelp(flag)] as const;
  });
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `${left.padEnd(width)}   ${right}\n`).join("");
}

/** Returns the flags in the order of their names. */
export function sortedFlags(flags: readonly FlagSpec[]): FlagSpec[] {
  return [...flags].sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Returns a flag as it is typed, for example `--lines=N`. */
export function flagUsage({ name, kind, value }: FlagSpec): string {
  const placeholder = value ?? { switch: "", text: "TEXT", count: "N", seconds: "TIME" }[kind];
  return `--${name}${placeholder && `=${placeholder}`}`;
}

/** Returns what a flag does, and its default where that is not empty. */
export function flagHelp({ fallback, help }: FlagSpec): string {
  return fallback === false || fallback === "" || fallback === 0 ? help : `${help} (default ${fallback})`;
}

/** Returns the reference to the help page of a command, or to that of fleetctl. */
export function seeHelp(command: Command | undefined): string {
  return `see ${programName}${command ? ` ${command.name}` : ""} --help`;
}
