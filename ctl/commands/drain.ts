import type { DrainEntity } from "../../daemon/api/v1/types.ts";
import { countFlag, secondsFlag, switchFlag, textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { machineIdLegend, machineLegend } from "../machines/format.ts";
import { drainLegend, drainLines, followMoves, globalLines, leftUnits, planLines } from "../machines/moves.ts";
import { machinesByName } from "../machines/select.ts";
import { documentText, formatOf, outputFlag } from "../output/list.ts";
import { drainStatus } from "../output/plan.ts";
import { printError, printLine, reasonOf, rethrowAs } from "../terminal/port.ts";
import { nothingDone, yesFlag } from "../units/set_state.ts";

const selfFlag = switchFlag("self", "Name the machine on which fleetctl runs");
const dryRunFlag = switchFlag("dry-run", "Show what would happen, and change nothing");
const formats = ["text", "json", "yaml"];

/** `fleetctl drain`: moves every unit off machines. */
export const drain: Command = {
  name: "drain",
  isNew: true,
  group: "machines",
  summary: "Move every unit off machines",
  usage: "drain [--deadline=TIME] [--max-parallel=N] [--force] [--ignore-globals] [--no-wait] " +
    "[--yes|--dry-run] [--output=FORMAT] [MACHINE...]",
  description:
    `Cordons the machines, so that none of their units lands on another one of them, and moves their jobs. A unit
starts on its new machine, and stops on the old one when the new copy is healthy. It stops first if only one
copy of it may run (Unique=true, StopWhenDisconnected=, or Conflicts= with its own name), if it must share its machine
with others (MachineOf=), or if it does not run where it is. Of a template, MaxParallel= instances move at once,
over all machines. Global units stop when all jobs have moved.

First the command shows what will happen and, on a terminal, asks. The cluster carries it out: ^C ends only the
waiting. A unit that fits nowhere stays and is named with every reason; when only such units are left, the
exit status is 1, and the drain goes on when there is room. The machine takes no units until fleetctl undrain.
Without machines, the command shows the drains of the cluster.

With --dry-run, the exit status is 0 if no unit would move or stop, 2 if one would.`,
  examples: [
    { title: "Move every unit off a machine", line: "fleetctl drain 454c34ef" },
    { title: "Look where the units would go", line: "fleetctl drain --dry-run 454c34ef" },
    {
      title: "Drain the machine that is about to reboot, for five minutes at most",
      line: "fleetctl drain --self --yes --deadline=5m",
    },
    { title: "See how far the drains of the cluster have come", line: "fleetctl drain" },
  ],
  flags: [
    selfFlag,
    secondsFlag("deadline", 0, "After this time, wait for no unit, and stop those that fit nowhere; 0 is never"),
    countFlag("max-parallel", 10, "Move at most N units of a machine at once"),
    switchFlag("force", "Stop units that fit on no other machine, after all others have moved"),
    switchFlag("ignore-globals", "Leave global units on the machines"),
    switchFlag("no-wait", "Do not wait until the units have moved"),
    textFlag("why", "TEXT", "The reason, which list-machines and explain show"),
    dryRunFlag,
    yesFlag,
    outputFlag("FORMAT", "Without machines, or with --dry-run: print text, json or yaml", "text", formats),
  ],
  async run(context) {
    const { client, io, flags, args } = context;
    const format = formatOf(context, formats);
    if (args.length === 0 && !flags.on(selfFlag.name)) return await showDrains(context);
    if (format !== "text" && !flags.on(dryRunFlag.name)) {
      throw new UsageError("--output is for the drains of the cluster, without machines, and for --dry-run");
    }
    const machines = await machinesOf(context, []);
    const why = flags.text("why");
    const request = {
      machines: machines.map(({ id }) => id),
      ...flags.number("deadline") > 0 && { deadline: Math.ceil(flags.number("deadline")) },
      maxParallel: flags.number("max-parallel"),
      ...flags.on("force") && { force: true },
      ...flags.on("ignore-globals") && { ignoreGlobals: true },
      ...why !== "" && { why },
    };
    const planned = await client.maintenance.drain({ ...request, dryRun: true });
    if (!planned) throw new Error(`${client.endpoint} runs a fleet that cannot drain machines: upgrade it`);
    await printDrains(context, planned);
    if (flags.on(dryRunFlag.name)) return drainStatus(planned);
    const legends = machines.map((machine) => machineLegend(machine, false)).join(", ");
    if (!flags.on(yesFlag.name) && await io.confirm(`About to drain ${legends}. Continue?`) === false) {
      throw new Error(nothingDone);
    }
    await client.maintenance.drain(request).catch(rethrowAs(`Error draining ${legends}`));
    printLine(io, `Draining ${legends}`);
    if (flags.on("no-wait")) return 0;
    return await follow(context, planned);
  },
};

/** `fleetctl undrain`: cancels a drain, or ends one that is done. */
export const undrain: Command = {
  name: "undrain",
  isNew: true,
  group: "machines",
  summary: "Let machines that were drained take units again",
  usage: "undrain [--keep-cordon] [--self] MACHINE...",
  description:
    `Cancels the drains of machines, or ends those that are done: the machines take units again, and start their
global units. A unit that runs on two machines at this moment stays on the old one. No unit is moved back;
fleetctl rebalance evens out the load.`,
  examples: [
    { title: "Let a machine take units after its maintenance", line: "fleetctl undrain 454c34ef" },
    { title: "Cancel a drain, and keep new units away all the same", line: "fleetctl undrain --keep-cordon 454c34ef" },
  ],
  flags: [selfFlag, switchFlag("keep-cordon", "Keep new units off the machines")],
  async run(context) {
    const { client, io, flags } = context;
    const drained = (await client.maintenance.drains())?.map(({ machineID }) => machineID);
    if (!drained) throw new Error(`${client.endpoint} runs a fleet that cannot drain machines: upgrade it`);
    let status = 0;
    for (const machine of await machinesOf(context, drained)) {
      const legend = machineLegend(machine, false);
      try {
        const was = await client.maintenance.undrain(machine.id, flags.on("keep-cordon"));
        const takes = flags.on("keep-cordon") ? "is not drained any more, and still cordoned" : "takes units again";
        printLine(io, `Machine ${legend} ${was ? takes : "was not drained"}`);
      } catch (error) {
        printError(io, `Error ending the drain of machine ${legend}: ${reasonOf(error)}`);
        status = exitFailure;
      }
    }
    return status;
  },
};

/** Returns the machines of the command line, of which those in `known` may be absent. */
async function machinesOf(context: Context, known: readonly string[]) {
  const { flags, args, hosts } = context;
  if (!flags.on(selfFlag.name)) {
    if (args.length === 0) throw new UsageError("name at least one machine");
    return await machinesByName(context, args, known);
  }
  if (args.length > 0) throw new UsageError(`--${selfFlag.name} and names of machines exclude each other`);
  const id = await hosts.localMachineId();
  if (!id) throw new Error("Unable to drain this machine: it has no machine ID, see machine-id(5)");
  return [(await context.machines.all()).get(id) ?? { id }];
}

async function showDrains(context: Context): Promise<number> {
  const drains = await context.client.maintenance.drains();
  if (!drains) throw new Error(`${context.client.endpoint} runs a fleet that cannot drain machines: upgrade it`);
  if (drains.length === 0 && formatOf(context, formats) === "text") printLine(context.io, "No machine is drained.");
  else await printDrains(context, drains);
  return 0;
}

async function printDrains(context: Context, drains: readonly DrainEntity[]): Promise<void> {
  const { io } = context;
  const format = formatOf(context, formats);
  if (format === "json" || format === "yaml") io.out(await documentText(drains, format));
  else for (const line of drains.flatMap(drainLines)) printLine(io, line);
}

/** Waits until the machines are drained, or only units are left that fit nowhere. Returns the exit status. */
async function follow(context: Context, planned: readonly DrainEntity[]): Promise<number> {
  const { client, io } = context;
  const ids = new Set(planned.map(({ machineID }) => machineID));
  const names = [...ids].map((id) => machineIdLegend(id, false)).join(", ");
  let own: readonly DrainEntity[] = [];
  const { left } = await followMoves(
    context,
    leftUnits(planned),
    `Stopped waiting; the cluster goes on draining ${names}. See fleetctl drain, and fleetctl undrain to cancel.`,
    async () => {
      own = (await client.maintenance.drains() ?? []).filter(({ machineID }) => ids.has(machineID));
      return { units: leftUnits(own), isOver: own.every((each) => each.status === "done" || isStuck(each)) };
    },
  );
  const canceled = [...ids].filter((id) => !own.some(({ machineID }) => machineID === id));
  for (const id of canceled) printError(io, `The drain of machine ${machineIdLegend(id, false)} was canceled.`);
  for (const each of own) {
    if (each.status === "done") printLine(io, `Machine ${drainLegend(each)} is drained`);
    else for (const line of stuckLines(each)) printError(io, line);
  }
  return canceled.length > 0 || left.length > 0 || own.some(({ status }) => status !== "done") ? exitFailure : 0;
}

/** True if a drain does not go on by itself: only units are left that neither move nor stop. */
function isStuck(drain: DrainEntity): boolean {
  const { status, deadline, force, units = [], globals = [], unreadable, unreadableUnits = [] } = drain;
  if (unreadable !== undefined) return true;
  const isUnreadable = (name: string) => unreadableUnits.includes(name);
  if (status === "stopping") return globals.length > 0 && globals.every(isUnreadable);
  const stopsBlocked = deadline !== undefined || force === true && !units.some(({ name }) => isUnreadable(name));
  return units.length > 0 &&
    units.every(({ name, state }) => state === "blocked" && (!stopsBlocked || isUnreadable(name)));
}

/** Returns the lines about a drain that is stuck: what an operator can do, and the reason of each unit that is left. */
function stuckLines(drain: DrainEntity): readonly string[] {
  const { units = [], force, unreadable, unreadableUnits = [] } = drain;
  const what = `Machine ${drainLegend(drain)} is not drained`;
  if (unreadable !== undefined) return [`${what}: ${unreadable}. Use fleetctl drain again, or fleetctl undrain.`];
  const others = units.map(({ name }) => name).filter((name) => !unreadableUnits.includes(name));
  return [
    ...others.length > 0
      ? [`${what}: ${others.join(", ")} cannot move. Make room${force ? "" : ", or use --force to stop"}.`]
      : [],
    ...unreadableUnits.length > 0
      ? [
        `${what}: ${unreadableUnits.join(", ")} cannot be read. Put each again with its file, or destroy it.`,
      ]
      : [],
    ...units.flatMap(planLines),
    ...globalLines(drain),
  ];
}
