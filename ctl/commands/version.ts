import type { Command } from "../cli/command.ts";
import { say } from "../terminal/port.ts";
import { version as number } from "../version.ts";

/** `fleetctl version`. */
export const version: Command = {
  name: "version",
  isOffline: true,
  summary: "Print the version and exit",
  usage: "version",
  flags: [],
  run({ io }) {
    say(io, `fleetctl version ${number}`);
    return Promise.resolve(0);
  },
};
