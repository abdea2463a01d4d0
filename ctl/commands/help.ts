import type { Command } from "../cli/command.ts";

/** `fleetctl help`: answered before a way to the cluster is looked for, so that it works without one. */
export const help: Command = {
  name: "help",
  isOffline: true,
  summary: "Show how fleetctl, or one of its commands, is used",
  usage: "help [COMMAND]",
  flags: [],
  run: () => Promise.reject(new Error("help is shown before commands are run")),
};
