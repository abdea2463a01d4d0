import type { Command } from "../cli/command.ts";
import { optionsHelp } from "../cli/help.ts";

/** `fleetctl options`: lists the global flags. */
export const options: Command = {
  name: "options",
  group: "client",
  isNew: true,
  isOffline: true,
  takesNothing: true,
  summary: "List the flags that every command accepts",
  usage: "options",
  examples: [{ title: "List the global flags", line: "fleetctl options" }],
  flags: [],
  run({ io }) {
    io.out(optionsHelp());
    return Promise.resolve(0);
  },
};
