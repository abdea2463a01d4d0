import { ApiError } from "../api/client.ts";
import type { Command } from "../cli/command.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";
import { machineIdLegend } from "../machines/format.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";

/** HTTP status of a cluster that waits for no machines. */
const notFound = 404;

/** `fleetctl accept-loss`: ends the engine's wait for machines that were lost at once. */
export const acceptLoss: Command = {
  name: "accept-loss",
  isNew: true,
  takesNothing: true,
  group: "cluster",
  summary: "Move the units of machines that were lost at once",
  usage: "accept-loss [--yes]",
  description:
    `Ends the wait for machines that were lost at once, and moves their units to the machines that are present.

After a loss of more than mass_loss_threshold of the machines, the engine moves no unit of a missing
machine for mass_loss_grace: the machines are probably cut off, or boot, and come back. Use this command
if they do not. If a machine runs on without a connection to etcd, its units run twice until it is back.

On a terminal the command asks first.`,
  examples: [{ title: "Move the units of all missing machines now", line: "fleetctl accept-loss" }],
  flags: [yesFlag],
  async run({ client, io, flags }) {
    const loss = await client.loss();
    if (!loss?.missing) {
      throw new Error("Nothing to accept: the engine does not wait for machines that were lost at once.");
    }
    const machines = loss.missing.map((id) => machineIdLegend(id, false)).join(", ");
    const question = `About to give up ${loss.missing.length} of ${loss.missing.length + loss.present} machines ` +
      `(${machines}). Their units start on other machines, also if they still run there. Continue?`;
    if (!flags.on(yesFlag.name) && await io.confirm(question) === false) throw new Error(nothingDone);
    await client.acceptLoss().catch((error) => {
      throw error instanceof ApiError && error.code === notFound ? rethrowAs("Nothing to accept")(error) : error;
    });
    printLine(io, `Gave up ${machines}: their units move to other machines`);
    return 0;
  },
};
