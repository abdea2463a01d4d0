import type { AcceptedStoreEntity } from "../../daemon/api/v1/types.ts";
import { ApiError } from "../api/client.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { yesFlag } from "../units/set_state.ts";
import { complain, say } from "../terminal/port.ts";

/** HTTP status of a daemon that has no store to accept. */
const conflict = 409;

/** `fleetctl accept-store`. */
export const acceptStore: Command = {
  name: "accept-store",
  isNew: true,
  takesNothing: true,
  summary: "Tell one machine that its store, although it has changed, is the right one",
  usage: "accept-store [--yes]",
  description: `A machine whose store is another one than before (wiped, restored from a backup, another prefix)
changes nothing and waits. If the store is the right one, this command tells it so, on that machine or with
its --endpoint; on each machine that waits.

From then on the machine's units are those that the store assigns to it. After a wipe that is none: its
units are stopped. To keep units running, restore the store from a backup first. On a terminal it
asks before it does so.

fleetctl --endpoint unix:///var/run/fleet.sock accept-store`,
  flags: [yesFlag],
  async run({ client, io, flags }) {
    if (!flags.on(yesFlag.name) && await io.confirm(question(client.endpoint)) === false) {
      complain(io, `Nothing was done. (--${yesFlag.name} does it without a question.)`);
      return exitFailure;
    }
    try {
      say(io, accepted(await client.acceptStore()));
      return 0;
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== conflict) throw error;
      complain(io, `Nothing to accept: ${error.message.replace(/^googleapi: Error \d+: /, "")}`);
      return exitFailure;
    }
  },
};

function question(endpoint: string): string {
  return `About to accept the store that the machine at ${endpoint} has now. ` +
    "Units that this store does not assign to the machine are stopped there. Go on?";
}

function accepted({ was, accepted }: AcceptedStoreEntity): string {
  const now = accepted.id === undefined
    ? "an empty store"
    : accepted.id === was.id
    ? `the same store (${was.id}) at the earlier revision ${accepted.revision}`
    : `store ${accepted.id} at revision ${accepted.revision}`;
  return `Accepted ${now}, in place of ${was.id} at revision ${was.revision}`;
}
