import type { Command } from "../cli/command.ts";

/** `fleetctl help`, which `cli/run.ts` carries out itself. */
export const help: Command = {
  name: "help",
  isOffline: true,
  group: "client",
  summary: "Show the help of fleetctl or of a command",
  usage: "help [COMMAND]",
  examples: [
    { title: "List the commands", line: "fleetctl help" },
    { title: "Show the help of a command", line: "fleetctl help start" },
  ],
  flags: [],
  run: () => Promise.reject(new Error("help is shown before commands are run")),
};
