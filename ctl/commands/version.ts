import type { Command } from "../cli/command.ts";
import { printLine } from "../terminal/port.ts";
import { version as number } from "../version.ts";

/** `fleetctl version`. */
export const version: Command = {
  name: "version",
  isOffline: true,
  group: "client",
  summary: "Print the version of fleetctl",
  usage: "version",
  examples: [
    { title: "Print the version", line: "fleetctl version" },
  ],
  flags: [],
  run({ io }) {
    printLine(io, `fleetctl version ${number}`);
    return Promise.resolve(0);
  },
};
