import { rolloutOptionsOf } from "../../registry/deployment.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { secondsFlag, textFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { findUnits, hasHealthCheck, isGlobal } from "../units/set_state.ts";
import { serviceType } from "../waiting/settling.ts";
import { gone, type WaitCondition } from "../waiting/conditions.ts";
import { failed, running } from "../waiting/reached_states.ts";
import { printError } from "../terminal/port.ts";
import { type UnitWait, waitForUnits } from "../waiting/wait_for_units.ts";

/** Exit status after `--timeout`, as of timeout(1). */
const exitTimeout = 124;

/** A unit to wait for; without options where they do not matter. */
interface AwaitedUnit {
  readonly name: string;
  readonly isGlobal: boolean;
  readonly options: UnitOption[];
}

/** A state that can be waited for. */
interface Goal {
  readonly condition: (unit: AwaitedUnit) => WaitCondition;
  /** The state in words, as in `timed out waiting for unit a.service to become active`. */
  readonly goal: string;
}

const goals: Readonly<Record<string, Goal>> = {
  active: {
    condition: ({ isGlobal }) => running({ isGlobal, stable_ms: 0, isChecked: false, mayEnd: false }),
    goal: "become active",
  },
  healthy: {
    condition: ({ name, isGlobal, options }) =>
      running({
        isGlobal,
        stable_ms: rolloutOptionsOf(options).minHealthyTime_ms,
        isChecked: hasHealthCheck({ name, options }),
        mayEnd: serviceType(options) === "oneshot",
      }),
    goal: "become healthy",
  },
  failed: { condition: ({ isGlobal }) => failed(isGlobal), goal: "fail" },
  gone: { condition: gone, goal: "be gone" },
};

const states = "active, healthy, failed or gone";

/** `fleetctl wait`: waits until units are in a state that others bring about. */
export const wait: Command = {
  name: "wait",
  isNew: true,
  units: { scope: "runnable units", absentIsFine: (flags) => flags.text("for") === "gone" },
  group: "observe",
  summary: "Wait until units are in a state",
  usage: "wait [--for=active|healthy|failed|gone] [--timeout=TIME] UNIT...",
  description: `Waits until every unit is active, healthy, failed, or gone from the cluster and its machine, and changes
nothing. A unit is healthy as in a roll-out: active for MinHealthyTime= without another start, with a
HealthCheck= that passes; a service of Type=oneshot may also have ended well. A global unit must be in the
state on every machine that has it. The units of a pattern are those of the beginning.

The exit status is 0 when all units are in the state, 1 if one can no longer get there (systemd has given up, the
unit is destroyed or does not exist), and 124 after --timeout.`,
  examples: [
    { title: "Wait until a unit is active, for a minute at most", line: "fleetctl wait --timeout=1m web.service" },
    { title: "Wait until all instances of a template are gone", line: "fleetctl wait --for=gone 'web@*'" },
    {
      title: "Start many units at once, then wait for them",
      line: "fleetctl start --no-block 'web@*' && fleetctl wait 'web@*'",
    },
  ],
  flags: [
    textFlag("for", "STATE", `Wait for this state: ${states}`, { fallback: "active", values: Object.keys(goals) }),
    secondsFlag(timeoutFlagName, 0, "Limit the waiting; 0 is no limit"),
  ],
  async run(context) {
    const { flags, io } = context;
    const state = flags.text("for");
    const goal = Object.hasOwn(goals, state) ? goals[state] : undefined;
    if (!goal) {
      throw new UsageError(`invalid value ${JSON.stringify(state)} for --for: expected ${states}`);
    }
    const { units, status } = await unitsToWaitFor(context, state);
    const waits = units.map((unit): UnitWait => {
      const line = (_view: unknown, where: string) => `Unit ${unit.name} is ${state}${where}`;
      return { name: unit.name, stages: [{ condition: goal.condition(unit), goal: goal.goal, line }] };
    });
    const failures = await waitForUnits(context, waits, 0);
    for (const { reason } of failures) printError(io, reason.replace(/^./, (first) => first.toUpperCase()));
    const isLate = failures.length > 0 && failures.every((failure) => failure.isTimeout);
    return status || (isLate ? exitTimeout : failures.length > 0 ? exitFailure : 0);
  },
};

/** Returns the units that the arguments name, and the exit status if one of them does not exist although it should. */
async function unitsToWaitFor(
  context: Context,
  state: string,
): Promise<{ readonly units: readonly AwaitedUnit[]; readonly status: number }> {
  if (state === "gone") {
    const names = new Set(context.args.map(mangleUnitName));
    return { units: [...names].map((name) => ({ name, isGlobal: false, options: [] })), status: 0 };
  }
  const { units, missing, unknown } = await findUnits(context);
  return {
    units: units.map((unit) => ({ name: unit.name, isGlobal: isGlobal(unit), options: optionsOf(unit.options) })),
    status: missing + unknown > 0 ? exitFailure : 0,
  };
}
