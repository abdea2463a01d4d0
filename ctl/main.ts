/**
 * fleetctl, the command line: puts the doors together and ends the process.
 *
 * @module
 */

import { runFleetctl, type Start } from "./cli.ts";
import { connect } from "./client.ts";
import { ClientSetupError } from "./endpoint.ts";
import { apiTimeout_s } from "./global_flags.ts";
import type { Hosts } from "./hosts.ts";
import { ReaderGoneError, reasonOf } from "./io.ts";
import { SshHosts } from "./ssh/hosts.ts";
import { terminal } from "./terminal.ts";

let hosts: SshHosts | undefined;

const start: Start = {
  io: terminal,
  hosts: (flags, io): Hosts => hosts ??= new SshHosts(flags, io),
  async client(flags, io) {
    const driver = flags.text("driver");
    if (driver !== "API") throw new ClientSetupError(`unrecognized driver ${JSON.stringify(driver)}`);
    if (flags.text("tunnel") !== "") throw new ClientSetupError("--tunnel is not available");
    const [endpoint = "", ...others] = flags.text("endpoint").split(",");
    if (others.length > 0) io.log("WARN", `multiple endpoints provided but only the first (${endpoint}) is used`);
    return await connect({
      endpoint,
      timeout_ms: 1000 * (flags.given("request-timeout") ? flags.number("request-timeout") : apiTimeout_s),
      caFile: flags.text("ca-file"),
      certFile: flags.text("cert-file"),
      keyFile: flags.text("key-file"),
    }, io);
  },
};

/** Exit status of a program whose reader went away, as a shell counts SIGPIPE. */
const exitBrokenPipe = 141;

let status: number;
try {
  status = await runFleetctl(Deno.args, Deno.env.toObject(), start);
} catch (error) {
  if (error instanceof ReaderGoneError) Deno.exit(exitBrokenPipe);
  terminal(false).err(`fleetctl: ${reasonOf(error)}\n`);
  Deno.exit(1);
}
Deno.exit(status);
