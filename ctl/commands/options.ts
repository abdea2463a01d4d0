import type { Command } from "../cli/command.ts";

/** `fleetctl options`, which `cli/run.ts` carries out itself. */
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
  run: () => Promise.reject(new Error("the global flags are listed before commands are run")),
};
