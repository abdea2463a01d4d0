import type { UnitEntity } from "../../daemon/api/v1/types.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import type { Health } from "../api/client.ts";
import { stopWhenSilent } from "../api/sse.ts";
import { repeatAtChanges } from "../output/watch.ts";
import { switchFlag, UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { currentStateOf, existingUnit, hasHealthCheck, isGlobal, showEach } from "../units/set_state.ts";
import { documentText, formatOf, outputFlag } from "../output/list.ts";
import { type Overview, OverviewCollector } from "../overview/overview.ts";
import { overviewLines } from "../overview/report.ts";
import { printLine, rethrowAs } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { nameInSystemd, printStatus, runOnMachine, sshFlag } from "../machines/run_on.ts";
import { sshPortFlag } from "../machines/select.ts";

/** Shows the cluster, once or after each change. Returns the exit status. */
async function showCluster(context: Context): Promise<number> {
  const { io, flags } = context;
  const format = formatOf(context, ["text", "json", "yaml"]);
  if (!flags.on("watch")) {
    await printOverview(context, format);
    return 0;
  }
  if (format !== "text") throw new UsageError("--watch prints text: watch a list for a program");
  let shown = "";
  return await repeatAtChanges(context, [], async () => {
    const lines = await readLines(context);
    if (io.screen) return io.redraw(lines);
    const text = lines.join("\n");
    if (text === shown) return;
    for (const line of shown === "" ? lines : ["", ...lines]) printLine(io, line);
    shown = text;
  });
}

async function printOverview(context: Context, format: string): Promise<void> {
  const { client, io } = context;
  if (format === "text") { for (const line of await readLines(context)) printLine(io, line); }
  else {
    const { version } = await readHealth(context);
    const overview = await readOverview(context);
    io.out(await documentText({ endpoint: client.endpoint, version, ...overview }, format as "json" | "yaml"));
  }
}

async function readLines(context: Context): Promise<string[]> {
  const { client, io } = context;
  const health = await readHealth(context);
  const options = { endpoint: client.endpoint, health, now_ms: io.wall_ms(), color: io.color };
  return overviewLines(await readOverview(context), options);
}

/** Returns the health of the server. Throws if it cannot serve the cluster. */
async function readHealth({ client }: Context): Promise<Health> {
  const health = await client.health();
  if (health.ready !== false) return health;
  throw new Error(`${client.endpoint} cannot serve the cluster: ${health.reason}`);
}

/** Returns the overview by the present state, with which an event stream begins. Throws if the server cannot send it. */
async function readOverview({ client, io }: Context): Promise<Overview> {
  const end = new AbortController();
  const stop = () => end.abort();
  const collector = new OverviewCollector();
  try {
    const events = await client.follow("", end.signal);
    if (!events) throw new Error(`${client.endpoint} does not support events, which the overview of a cluster needs`);
    for await (const event of stopWhenSilent(events, (ms, signal) => io.sleep(ms, signal), stop)) {
      const overview = collector.take(event);
      if (overview) return overview;
    }
  } finally {
    stop();
  }
  throw new Error(`${client.endpoint} ended the stream before it had sent the state of the cluster`);
}

/** `fleetctl status`: prints the output of `systemctl status` on the machines of units. */
export const status: Command = {
  name: "status",
  units: { scope: "runnable units", areOptional: true },
  group: "observe",
  summary: "Show the cluster, or the status of units in systemd",
  usage: "status [-w|--watch] [-o|--output=FORMAT] | status [--ssh] [--ssh-port=N] UNIT...",
  description:
    `Without units, shows the cluster on one screen: machines and their leader, the store, units by state, what
waits for a machine and why, what has failed or is unhealthy, roll-outs that are under way or have failed, and drains.

With units, shows the output of systemctl status -l on the machine of each unit, by the API or, where that cannot, by
SSH. The exit status is that of systemctl, 3 for a unit that does not run; with several units, the first
that is not 0.

A global unit is shown on every machine that has it.`,
  examples: [
    { title: "Show the cluster", line: "fleetctl status" },
    { title: "Keep the cluster on the screen", line: "fleetctl status --watch" },
    { title: "Show one unit", line: "fleetctl status hello.service" },
    { title: "Show all instances of a template", line: "fleetctl status 'web@*'" },
  ],
  flags: [
    outputFlag("FORMAT", "Without units: print text, json or yaml", "text", ["text", "json", "yaml"]),
    switchFlag("watch", "Without units: show the cluster again when it changes", "w"),
    sshFlag,
    sshPortFlag,
    switchFlag("no-block", "Ignored: scripts for fleet 1.0 pass it"),
  ],
  run(context) {
    if (context.args.length === 0) return showCluster(context);
    const other = ["output", "watch"].find((name) => context.flags.given(name));
    if (other !== undefined) throw new UsageError(`--${other} is for the status of the cluster, without units`);
    return showEach(context, context.args.map(mangleUnitName), async (name, index) => {
      if (index > 0) printLine(context.io, "");
      const unit = await existingUnit(context, name);
      if (isGlobal(unit)) return await showGlobal(context, unit);
      if (!unit.machineID || currentStateOf(unit) === "inactive") throw notLoaded(name);
      return await statusOn(context, unit.machineID, unit);
    });
  },
};

function notLoaded(name: string): Error {
  return new Error(`Unit ${name} does not appear to be loaded.`);
}

/** Exit status of `systemctl status` for a unit that does not run. */
const exitNotRunning = 3;

async function statusOn(context: Context, machine: string, unit: UnitEntity): Promise<number> {
  const { name } = unit;
  const { text, why } = await printStatus(context, machine, name)
    .catch(rethrowAs(`Error asking for the status of unit ${name}`));
  if (text === undefined) {
    const service = await nameInSystemd(context, name);
    const words = service.startsWith("-") ? ["--", service] : [service];
    return await runOnMachine(context, machine, ["systemctl", "status", "-l", ...words], why);
  }
  await printHealth(context, machine, unit);
  return /^ *Active: (active|reloading|refreshing)\b/m.test(text) ? 0 : exitNotRunning;
}

/** Prints the result of the health check of a unit that has one. */
async function printHealth({ client, io }: Context, machine: string, unit: UnitEntity): Promise<void> {
  if (!hasHealthCheck(unit)) return;
  const state = (await client.states(unit.name)).find(({ machineID }) => machineID === machine);
  const { health, healthReason, healthSince = 0 } = state ?? {};
  if (health === undefined) return printLine(io, "Health check: no result yet");
  const reason = healthReason === undefined ? "" : `: ${healthReason}`;
  printLine(io, `Health check: ${health} since ${new Date(healthSince).toISOString()}${reason}`);
}

/** Shows a unit on every machine that has it and returns the first exit status that is not 0. */
async function showGlobal(context: Context, unit: UnitEntity): Promise<number> {
  const { client, io, machines } = context;
  const { name } = unit;
  const ids = (await client.states(name)).flatMap(({ machineID }) => machineID ? [machineID] : []);
  if (ids.length === 0) throw notLoaded(name);
  return await showEach(context, ids, async (id, index) => {
    if (index > 0) printLine(io, "");
    printLine(io, `${name} on ${machineLegend(await machines.find(id) ?? { id }, false)}:`);
    return await statusOn(context, id, unit);
  });
}
