import { UsageError } from "../cli/argv.ts";
import type { Command } from "../cli/command.ts";
import { DialError, rethrowAs } from "../terminal/port.ts";

/** `fleetctl fd-forward`: connects standard input and output to a unix domain socket, for the far end of `--tunnel`. */
export const fdForward: Command = {
  name: "fd-forward",
  isOffline: true,
  group: "client",
  summary: "Copy standard input and output to and from a socket",
  usage: "fd-forward SOCKET",
  description:
    `fleetctl runs this command itself at the far end of --tunnel where --endpoint is a socket and the SSH server
there refuses to forward sockets.`,
  examples: [
    { title: "Connect to the API of this machine", line: "fleetctl fd-forward /var/run/fleet.sock" },
  ],
  flags: [],
  async run({ io, args }) {
    if (args.length !== 1) throw new UsageError("name one socket");
    await io.forward(args[0] as string).catch((error) => {
      rethrowAs(error instanceof DialError ? "Failed dialing remote address" : "Encountered error during copy")(error);
    });
    return 0;
  },
};
