import type { Command } from "../cli/command.ts";
import { printLine } from "../terminal/port.ts";
import { versionText } from "../../runtime/version.ts";

/** `fleetctl version`. */
export const version: Command = {
  name: "version",
  isOffline: true,
  group: "client",
  summary: "Print the version, the commit and the build of fleetctl",
  usage: "version",
  examples: [
    { title: "Print the version", line: "fleetctl version" },
  ],
  flags: [],
  run({ io }) {
    printLine(io, `fleetctl version ${versionText}`);
    return Promise.resolve(0);
  },
};
