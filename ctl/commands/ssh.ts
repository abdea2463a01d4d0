import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { exitSshFailure } from "../machines/run_on.ts";
import { machineByAny, machineByPrefix, machineOfUnit, sshPortFlag, sshPortOf } from "../machines/select.ts";

/** `fleetctl ssh`: a shell or a command on a machine. */
export const ssh: Command = {
  name: "ssh",
  runsRemotely: true,
  summary: "Open interactive shell on a machine in the cluster, or run a command there",
  usage: "ssh [-A|--forward-agent] [--ssh-port=N] {MACHINE|UNIT|--machine=ID|--unit=UNIT} [COMMAND...]",
  description: `Logs in to the machine whose ID begins so, or to the one that runs the unit.

Open a shell, or run a command; the exit status is that of the shell or the command. What
follows the command's name belongs to it, also what looks like a flag:
fleetctl ssh 2444264c
fleetctl ssh foo.service ls -l /srv
fleetctl ssh --unit foo.service -- ls -l /srv

Keys come from the agent (SSH_AUTH_SOCK), --ssh-identity and ~/.ssh. With --tunnel the
way leads through another host:
fleetctl --tunnel 10.10.10.10 ssh foo.service

This command does not work with global units.`,
  flags: [
    { name: "machine", kind: "text", fallback: "", letter: "m", help: "Log in to the machine whose ID begins so" },
    { name: "unit", kind: "text", fallback: "", letter: "u", help: "Log in to the machine that runs this unit" },
    {
      name: "forward-agent",
      kind: "switch",
      fallback: false,
      letter: "A",
      help: "Let programs on the machine use the SSH agent here",
    },
    sshPortFlag,
  ],
  async run(context) {
    const { io, flags, args } = context;
    const byFlag = flags.text("machine") !== "" || flags.text("unit") !== "";
    if (flags.text("machine") !== "" && flags.text("unit") !== "") {
      complain(io, "Both machine and unit flags provided, please specify only one.");
      return exitFailure;
    }
    if (!byFlag && args.length === 0) {
      throw new UsageError("Unable to proceed: one machine or unit must be provided", true);
    }
    let machine: MachineEntity | undefined;
    try {
      machine = await targetOf(context);
    } catch (error) {
      complain(io, `Unable to proceed: ${reasonOf(error)}`);
      return exitFailure;
    }
    if (!machine?.primaryIP) {
      complain(io, "Could not determine address of machine.");
      return exitFailure;
    }
    return await logIn(context, machine.primaryIP, byFlag ? args : args.slice(1));
  },
};

async function targetOf(context: Context): Promise<MachineEntity | undefined> {
  const { flags, args } = context;
  if (flags.text("machine") !== "") return await machineByPrefix(context, flags.text("machine"));
  if (flags.text("unit") !== "") return await machineOfUnit(context, flags.text("unit"));
  return await machineByAny(context, args[0] as string);
}

async function logIn(context: Context, address: string, words: readonly string[]): Promise<number> {
  const { io, hosts, flags } = context;
  const host = await hosts.connect(address, sshPortOf(context)).catch((error) => {
    complain(io, `Failed building SSH client: ${reasonOf(error)}`);
    return undefined;
  });
  if (!host) return exitFailure;
  const attachment = { input: true, forwardAgent: flags.on("forward-agent") };
  try {
    if (words.length > 0) return await host.run(words.join(" "), attachment);
    return await host.run(undefined, attachment);
  } catch (error) {
    complain(io, `Failed ${words.length > 0 ? "running command" : "opening shell"} over SSH: ${reasonOf(error)}`);
    return exitSshFailure;
  }
}
