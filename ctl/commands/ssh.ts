import { switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { printError, ReaderGoneError, reasonOf, rethrowAs } from "../terminal/port.ts";
import { exitSshFailure } from "../machines/run_on.ts";
import { machineByAny, machineByName, machineOfUnit, sshPortFlag, sshPortOf } from "../machines/select.ts";

/** `fleetctl ssh`: opens a shell or runs a command on a machine. */
export const ssh: Command = {
  name: "ssh",
  runsRemotely: true,
  group: "machines",
  summary: "Open a shell or run a command on a machine",
  usage: "ssh [-A|--forward-agent] [--ssh-port=N] {MACHINE|UNIT|--machine=MACHINE|--unit=UNIT} [COMMAND...]",
  description:
    `Logs in to a machine, or to the machine of a unit; a global unit is on many machines. MACHINE is the beginning
of an ID, an address, or the value of the metadata name or hostname. Runs COMMAND there, or a shell, and returns its
exit status. All words behind the name of the command belong to it, even those that look like flags.

Keys come from the agent (SSH_AUTH_SOCK), --ssh-identity and ~/.ssh.`,
  examples: [
    { title: "Open a shell on a machine", line: "fleetctl ssh 2444264c" },
    { title: "Run a command on the machine of a unit", line: "fleetctl ssh foo.service ls -l /srv" },
    { title: "Reach the machine through another host", line: "fleetctl --tunnel=10.10.10.10 ssh foo.service" },
  ],
  flags: [
    textFlag("machine", "MACHINE", "Log in to this machine", { letter: "m" }),
    textFlag("unit", "UNIT", "Log in to the machine of this unit", { letter: "u" }),
    switchFlag("forward-agent", "Let programs on the machine use the SSH agent of this machine", "A"),
    sshPortFlag,
  ],
  async run(context) {
    const { flags, args } = context;
    const [id, unit] = [flags.text("machine"), flags.text("unit")];
    const byFlag = id !== "" || unit !== "";
    if (id !== "" && unit !== "") throw new Error("Both machine and unit flags provided, please specify only one.");
    if (!byFlag && args.length === 0) throw new UsageError("name a machine or a unit");
    const finding = id !== ""
      ? machineByName(context, id)
      : unit !== ""
      ? machineOfUnit(context, unit)
      : machineByAny(context, args[0] as string);
    const machine = await finding.catch(rethrowAs("Unable to proceed"));
    if (!machine?.primaryIP) throw new Error("Could not determine address of machine.");
    return await logIn(context, machine.primaryIP, byFlag ? args : args.slice(1));
  },
};

async function logIn(context: Context, address: string, words: readonly string[]): Promise<number> {
  const { io, hosts, flags } = context;
  const host = await hosts.connect(address, sshPortOf(context)).catch(rethrowAs("Failed building SSH client"));
  const attachment = { input: true, forwardAgent: flags.on("forward-agent") };
  try {
    return await host.run(words.length > 0 ? words.join(" ") : undefined, attachment);
  } catch (error) {
    if (error instanceof ReaderGoneError) throw error;
    printError(io, `Failed ${words.length > 0 ? "running command" : "opening shell"} over SSH: ${reasonOf(error)}`);
    return exitSshFailure;
  }
}
