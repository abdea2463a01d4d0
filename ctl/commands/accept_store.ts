import type { AcceptedStoreEntity } from "../../daemon/api/v1/types.ts";
import { ApiError } from "../api/client.ts";
import { switchFlag } from "../cli/argv.ts";
import type { Command } from "../cli/command.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";

/** HTTP status of a daemon that has no store to accept. */
const conflict = 409;

const keepUnitsFlag = switchFlag("keep-units", "Put the machine's units into the store, so that they keep running");

/** `fleetctl accept-store`: has one daemon accept a store that has lost data. */
export const acceptStore: Command = {
  name: "accept-store",
  isNew: true,
  takesNothing: true,
  group: "cluster",
  summary: "Accept a wiped or restored store on one machine",
  usage: "accept-store [--keep-units] [--yes]",
  description: `Accepts the store that the daemon at --endpoint is connected to, in place of the one that it knew.

A daemon whose store has lost its data or revisions (wiped, restored from a backup, another prefix)
stops changing units until it is restarted with the right store or this command accepts the new one.
Run it on each machine that waits, or with the --endpoint of each.

The units of the machine are then those that the store assigns to it. After a wipe that is none: its
units are stopped. With --keep-units they keep running: the daemon puts those that the store does not have
there, with their files and states, and its labels. On a terminal the command asks before it accepts a store.`,
  examples: [
    { title: "Accept the store on this machine", line: "fleetctl accept-store" },
    { title: "Accept an empty store, and keep the units of this machine", line: "fleetctl accept-store --keep-units" },
    {
      title: "Accept it on another machine, without a question",
      line: "fleetctl --endpoint=http://10.0.0.5:49153 accept-store --yes",
    },
  ],
  flags: [keepUnitsFlag, yesFlag],
  async run({ client, io, flags }) {
    const keepUnits = flags.on(keepUnitsFlag.name);
    if (!flags.on(yesFlag.name) && await io.confirm(question(client.endpoint, keepUnits)) === false) {
      throw new Error(nothingDone);
    }
    const store = await client.acceptStore(keepUnits).catch((error) => {
      throw error instanceof ApiError && error.code === conflict ? rethrowAs("Nothing to accept")(error) : error;
    });
    printLine(io, accepted(store) + (keepUnits ? ". The units of the machine are kept" : ""));
    return 0;
  },
};

function question(endpoint: string, keepUnits: boolean): string {
  const effect = keepUnits
    ? "Units of the machine that this store does not have are put there, and keep running."
    : "Units that this store does not assign to the machine are stopped there.";
  return `About to accept the store that the machine at ${endpoint} has now. ${effect} Continue?`;
}

function accepted({ was, accepted }: AcceptedStoreEntity): string {
  const now = accepted.id === undefined
    ? "an empty store"
    : accepted.id === was.id
    ? `the same store (${was.id}) at the earlier revision ${accepted.revision}`
    : `store ${accepted.id} at revision ${accepted.revision}`;
  return `Accepted ${now}, in place of ${was.id} at revision ${was.revision}`;
}
