/**
 * The manual pages, made of the tables of help and of the reference in `docs/`. Pure.
 *
 * @module
 */

import type { FlagSpec } from "../../ctl/cli/argv.ts";
import type { Command } from "../../ctl/cli/command.ts";
import { globalFlags } from "../../ctl/cli/global_flags.ts";
import { flagHelp, flagUsage, groupedCommands, sortedFlags } from "../../ctl/cli/help.ts";
import { usage as fleetdUsage } from "../../daemon/arguments.ts";
import type { ManPage } from "./roff.ts";

/** Pages of `docs/reference/`, as Markdown. */
export interface ReferencePages {
  readonly configuration: string;
  readonly unitOptions: string;
  readonly files: string;
}

/** Returns every manual page. */
export function manPages(commands: readonly Command[], reference: ReferencePages): readonly ManPage[] {
  const shown = groupedCommands(commands).flatMap(([, members]) => members);
  return [
    fleetctl(commands),
    ...shown.map(commandPage),
    fleetd(reference.files),
    configuration(reference),
    units(reference),
  ];
}

const others = ["fleetctl(1)", "fleetd(8)", "fleet.conf(5)", "fleet.unit(5)"];
const without = (page: string) => others.filter((other) => other !== page);

function fleetctl(commands: readonly Command[]): ManPage {
  const groups = groupedCommands(commands).map(([title, members]) =>
    `### ${title}\n\n${terms(members.map(({ name, summary }) => [`**fleetctl-${name}**(1)`, `${summary}.`]))}`
  );
  return {
    name: "fleetctl",
    section: 1,
    summary: "control a fleet cluster",
    synopsis: ["fleetctl COMMAND [FLAGS] [ARGUMENTS]"],
    markdown: `## Description

fleetctl starts, stops and shows systemd units on a cluster of machines, through the API of any machine.

## Commands

${groups.join("\n\n")}

## Global options

Every command accepts these. Each is also a variable: \`--ssh-username\` is \`FLEETCTL_SSH_USERNAME\`. An option on the
command line beats the variable; an empty variable counts as unset.

${flags(globalFlags)}`,
    seeAlso: without("fleetctl(1)"),
  };
}

function commandPage({ name, summary, usage, description, examples, flags: own }: Command): ManPage {
  const shown = examples.map(({ title, line }) => `${title}:\n\n\`\`\`\n${line}\n\`\`\``).join("\n\n");
  return {
    name: `fleetctl-${name}`,
    section: 1,
    summary: summary.replace(/^./, (letter) => letter.toLowerCase()),
    synopsis: [`fleetctl ${usage}`],
    markdown: [
      `## Description\n\n${description ?? `${summary}.`}`,
      ...own.length > 0 ? [`## Options\n\n${flags(own)}`] : [],
      "Options of every command are in **fleetctl**(1).",
      `## Examples\n\n${shown}`,
    ].join("\n\n"),
    seeAlso: others,
  };
}

function fleetd(files: string): ManPage {
  const [synopsis = "", ...rest] = fleetdUsage.split("\n\n");
  return {
    name: "fleetd",
    section: 8,
    summary: "the daemon on every machine of a fleet cluster",
    synopsis: synopsis.replace(/^Usage:/, "      ").split("\n").map((line) => line.trim()),
    markdown: `## Description

fleetd serves the API of the cluster, decides where units run if it leads, and starts and stops the units of its machine
through systemd. Usually systemd starts it: \`systemctl reload fleet\` applies its configuration again,
\`systemctl restart fleet\` leaves units running, and \`systemctl stop fleet\` stops this machine's units, which start on
other machines.

## Options

\`\`\`
${rest.join("\n\n").trimEnd()}
\`\`\`

## Files

${body(files)}`,
    seeAlso: without("fleetd(8)"),
  };
}

function configuration({ configuration: page }: ReferencePages): ManPage {
  return {
    name: "fleet.conf",
    section: 5,
    summary: "the configuration of fleetd",
    markdown: `## Description\n\n${body(page)}`,
    seeAlso: without("fleet.conf(5)"),
  };
}

function units({ unitOptions: page }: ReferencePages): ManPage {
  return {
    name: "fleet.unit",
    section: 5,
    summary: "the section [X-Fleet] of unit files",
    markdown: `## Description\n\n${body(page)}`,
    seeAlso: [...without("fleet.unit(5)"), "systemd.unit(5)"],
  };
}

/** Returns a page without its title. */
const body = (page: string) => page.replace(/^# .*\n+/, "");

/** Returns a table of two columns, which becomes a list. */
function terms(rows: readonly (readonly [string, string])[]): string {
  const cell = (text: string) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
  return ["| | |", "| --- | --- |", ...rows.map(([term, text]) => `| ${cell(term)} | ${cell(text)} |`)].join("\n");
}

function flags(specs: readonly FlagSpec[]): string {
  return terms(
    sortedFlags(specs).map((flag) => {
      const names = [...flag.letter === undefined ? [] : [`-${flag.letter}`], flagUsage(flag)];
      return [names.map((name) => `\`${name}\``).join(", "), `${flagHelp(flag)}.`];
    }),
  );
}
