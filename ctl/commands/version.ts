import type { Command } from "../command.ts";
import { say } from "../io.ts";
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
