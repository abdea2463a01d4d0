/**
 * fleetctl, the command line: puts the doors together and ends the process.
 *
 * @module
 */

import type { Flags } from "./args.ts";
import { runFleetctl, type Start } from "./cli.ts";
import { type ClientSettings, connect } from "./client.ts";
import { ClientSetupError } from "./endpoint.ts";
import { apiTimeout_s } from "./global_flags.ts";
import { InterruptedError, type Io, ReaderGoneError, reasonOf } from "./io.ts";
import type { SshHosts } from "./ssh/hosts.ts";
import { LazyHosts } from "./lazy_hosts.ts";
import { interrupted, terminal } from "./terminal.ts";

let hosts: LazyHosts<SshHosts> | undefined;
const waysOf = (flags: Flags, io: Io) =>
  hosts ??= new LazyHosts(async () => new (await import("./ssh/hosts.ts")).SshHosts(flags, io));

const start: Start = {
  io: terminal,
  hosts: waysOf,
  async client(flags, io) {
    const driver = flags.text("driver");
    if (driver !== "API") throw new ClientSetupError(`unrecognized driver ${JSON.stringify(driver)}`);
    const [endpoint = "", ...others] = flags.text("endpoint").split(",");
    if (others.length > 0) io.log("WARN", `multiple endpoints provided but only the first (${endpoint}) is used`);
    return await connect({
      endpoint,
      timeout_ms: 1000 * (flags.given("request-timeout") ? flags.number("request-timeout") : apiTimeout_s),
      caFile: flags.text("ca-file"),
      certFile: flags.text("cert-file"),
      keyFile: flags.text("key-file"),
      token: await tokenOf(flags, io),
      ...(flags.text("tunnel") === "" ? {} : { wire: await tunnelled(flags, io) }),
    }, io);
  },
};

/** What sends requests through `--tunnel`, once it stands. Throws {@link ClientSetupError} if it does not. */
async function tunnelled(flags: Flags, io: Io): Promise<NonNullable<ClientSettings["wire"]>> {
  const { tunnelledFetch } = await import("./ssh/tunnelled_fetch.ts");
  const ways = await waysOf(flags, io).real();
  try {
    await ways.tunnel();
  } catch (cause) {
    throw new ClientSetupError(`failed initializing SSH client: ${reasonOf(cause)}`, { cause });
  }
  return (socket, tls) => tunnelledFetch(() => ways.tunnel(), socket, tls, io);
}

async function tokenOf(flags: Flags, io: Io): Promise<string> {
  const path = flags.text("token-file");
  if (flags.text("token") !== "" || path === "") return flags.text("token");
  const text = await io.readFile(path).catch((cause) => {
    throw new ClientSetupError(`cannot read ${path}: ${reasonOf(cause)}`, { cause });
  });
  if (text === undefined) throw new ClientSetupError(`cannot read ${path}: no such file`);
  return text.trim();
}

/** Exit status of a program whose reader went away, as a shell counts SIGPIPE. */
const exitBrokenPipe = 141;

/** Exit status after ^C, as a shell counts SIGINT. */
const exitInterrupted = 130;

let status: number;
try {
  status = await Promise.race([runFleetctl(Deno.args, Deno.env.toObject(), start), interrupted]);
} catch (error) {
  if (error instanceof ReaderGoneError) Deno.exit(exitBrokenPipe);
  if (error instanceof InterruptedError) {
    terminal(false).err(`\n${error.message}\n`);
    Deno.exit(exitInterrupted);
  }
  terminal(false).err(`fleetctl: ${reasonOf(error)}\n`);
  Deno.exit(1);
}
Deno.exit(status);
