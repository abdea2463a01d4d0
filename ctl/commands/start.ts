import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { type CreatedUnit, creationFlags, followTemplates, planUnits, putUnits, replaceFlag } from "../units/upload.ts";
import {
  attemptsOf,
  blockUntil,
  forEachUnit,
  noBlockFlag,
  printFailures,
  setDesiredState,
  waitFlags,
} from "../units/set_state.ts";
import { having, reached, started } from "../waiting/conditions.ts";
import { printError, printLine } from "../terminal/port.ts";
import { machineIdLegend } from "../machines/format.ts";
import { requestStart, restartUnits } from "../units/restart.ts";
import { maxParallelFlag, rollingPlans, rollOut } from "../units/rolling.ts";
import { settleFlag, stableFor_ms } from "../waiting/settling.ts";
import { fetchRunState, type RunState, runStateOf } from "../waiting/run_state.ts";
import type { WaitFailure } from "../waiting/wait_for_units.ts";

/** `fleetctl start`: places and starts units. */
export const start: Command = {
  name: "start",
  units: { scope: "runnable units" },
  group: "units",
  summary: "Start units on the machines of the cluster",
  usage: "start [--no-block|--block-attempts=N|--timeout=TIME] [--settle=TIME] [--replace] [--max-parallel=N] UNIT...",
  description:
    `Places units on machines and has systemd start them there. Units that the cluster does not have are submitted
first. A unit that was started before, and has failed or ended since, is started again.

The command waits until systemd reports that the units are active, or that they have run and ended well; it
fails if a unit fails. A service without readiness notification must stay active for a second, or as long as
--settle says. The command does not wait for global units.

With --replace, running instances of one template are replaced one after the other, or --max-parallel=N at a
time, until one fails. The template in the cluster is replaced last.`,
  examples: [
    { title: "Start a unit from a file in this directory", line: "fleetctl start hello.service" },
    { title: "Start three instances of a template", line: "fleetctl start web@1 web@2 web@3" },
    {
      title: "Roll out a changed template, one instance at a time",
      line: "fleetctl start --replace web@1 web@2 web@3",
    },
  ],
  flags: [
    ...creationFlags,
    replaceFlag,
    maxParallelFlag("replaced"),
    ...waitFlags("started"),
    settleFlag,
    noBlockFlag("started"),
  ],
  async run(context) {
    const creation = {
      replaceable: ["inactive", "loaded", "launched"],
      desiredState: "launched",
      replace: context.flags.on("replace"),
      attempts: attemptsOf(context),
    } as const;
    const planned = await planUnits(context, creation);
    const { atOnce, groups } = rollingPlans(context, planned);
    const created = await putUnits(context, { ...planned, plans: atOnce }, creation);
    const isStarted = await startAll(context, created);
    const isFine = await rollOut(context, groups, !isStarted, async (plan) => {
      return await startAll(context, await putUnits(context, { plans: [plan] }, creation));
    });
    if (!isFine) return exitFailure;
    await followTemplates(context, planned.plans);
    return 0;
  },
};

const failedToStart = "Error starting units";

/**
 * Starts units of the cluster, also those that were started before and do not run. False, after an error message, if one
 * of them is not started.
 */
async function startAll(context: Context, created: readonly CreatedUnit[]): Promise<boolean> {
  const starting = await setDesiredState(context, created, "launched", failedToStart);
  for (const unit of starting.units) {
    if (unit.isGlobal) printLine(context.io, `Triggered global unit ${unit.name} start`);
  }
  const globals = created.filter((unit) => !unit.begun && unit.desiredState === "launched" && unit.isGlobal);
  const triggered = await forEachUnit(context, globals, failedToStart, (unit) => startGlobalAgain(context, unit));
  const launched = created.filter((unit) => !unit.begun && unit.desiredState === "launched" && !unit.isGlobal);
  const runStates = new Map<string, RunState>();
  const known = await forEachUnit(context, launched, failedToStart, async (unit) => {
    runStates.set(unit.name, await fetchRunState(context, unit));
  });
  const underWay = known.filter(({ name }) => runStates.get(name) === "under way");
  const down = known.filter(({ name }) => runStates.get(name) === "down");
  const failures = await Promise.all([
    waitStarted(context, [...starting.units.filter((unit) => !unit.isGlobal), ...underWay]),
    startAgain(context, down),
  ]);
  const unstarted = starting.refused + (launched.length - known.length) + (globals.length - triggered.length);
  return failures.flat().length + unstarted === 0;
}

/** Starts a launched global unit again on the machines where it does not run. */
async function startGlobalAgain({ client, io }: Context, { name }: CreatedUnit): Promise<void> {
  const states = await client.states(name);
  const down = states.filter((state) => runStateOf(state) === "down");
  if (down.length === 0) return;
  if (!await client.startUnit(name)) {
    const where = down.map(({ machineID = "" }) => machineIdLegend(machineID, false)).join(", ");
    throw new Error(`this server cannot start the global unit ${name} again, which does not run on ${where}`);
  }
  printLine(io, `Triggered global unit ${name} start`);
}

async function waitStarted(context: Context, units: readonly CreatedUnit[]): Promise<WaitFailure[]> {
  const failures = await blockUntil(context, units, "start", ({ name, begun, replacement, options }) => [
    {
      condition: having(replacement, reached("launched")),
      goal: "report state launched",
      line: (_view, where) => `Unit ${name} launched${where}`,
    },
    {
      condition: started(begun && replacement === undefined, stableFor_ms(context, name, options)),
      goal: "become active in systemd",
    },
  ]);
  return await printFailures(context, failures);
}

/** Starts launched units that do not run; returns those that are not started, after an error message for each. */
async function startAgain(context: Context, units: readonly CreatedUnit[]): Promise<readonly { name: string }[]> {
  if (!context.flags.on("no-block")) {
    const refused: CreatedUnit[] = [];
    const failures = await restartUnits(context, units, requestStart, (unit, reason) => {
      refused.push(unit);
      printError(context.io, `${failedToStart}: ${unit.name}: ${reason}`);
    });
    return [...refused, ...await printFailures(context, failures)];
  }
  const requested = await forEachUnit(context, units, failedToStart, ({ name }) => requestStart(context, name));
  for (const { name } of requested) printLine(context.io, `Triggered unit ${name} start`);
  return units.filter((unit) => !requested.includes(unit));
}
