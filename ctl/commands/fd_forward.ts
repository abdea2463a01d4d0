import { UsageError } from "../cli/argv.ts";
import { type Command, exitFailure } from "../cli/command.ts";
import { complain, DialError, reasonOf } from "../terminal/port.ts";

/** `fleetctl fd-forward`: what `--tunnel` runs on the other side to reach a unix domain socket there. */
export const fdForward: Command = {
  name: "fd-forward",
  isOffline: true,
  summary: "Copy standard input and output to and from a unix domain socket",
  usage: "fd-forward SOCKET",
  description: "Used by fleetctl itself, on the other side of --tunnel, when --endpoint is a socket.",
  flags: [],
  async run({ io, args }) {
    if (args.length !== 1) throw new UsageError("Provide a single argument", true);
    try {
      await io.forward(args[0] as string);
      return 0;
    } catch (error) {
      const what = error instanceof DialError ? "Failed dialing remote address" : "Encountered error during copy";
      complain(io, `${what}: ${reasonOf(error)}`);
      return exitFailure;
    }
  },
};
