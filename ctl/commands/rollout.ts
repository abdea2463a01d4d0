import type { RolloutEntity, RolloutStepEntity } from "../../daemon/api/v1/types.ts";
import { followRollout } from "../apps/follow.ts";
import { appMissing, oneApp } from "../apps/name.ts";
import { isOver, machinesText, statusLine } from "../apps/report.ts";
import { secondsFlag, switchFlag, UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { timeoutFlagName } from "../cli/global_flags.ts";
import { machineLegend } from "../machines/format.ts";
import { documentText, formatOf, nothing, outputFlag } from "../output/list.ts";
import { alignedLines } from "../output/table.ts";
import { printLine } from "../terminal/port.ts";
import { noBlockFlag } from "../units/set_state.ts";

const changes = ["pause", "resume", "abort", "undo"] as const;

/** The actions that `fleetctl rollout` knows. */
export const rolloutActions: readonly string[] = ["status", ...changes];

const formats = ["text", "json", "yaml"];

/** `fleetctl rollout`: shows and controls the roll-out of an application. */
export const rollout: Command = {
  name: "rollout",
  isNew: true,
  group: "apps",
  summary: "Show, pause, resume, abort or undo a roll-out",
  usage: `rollout [--follow] [--no-block|--timeout=TIME] [--output=text|json|yaml] ${rolloutActions.join("|")} APP`,
  description: `Shows and controls the latest roll-out of an application, which the cluster carries out.

  status  shows each unit; with --follow, also what happens until the end
  pause   lets the units that are being changed become healthy, and changes no other one
  resume  goes on after pause
  abort   ends the roll-out, and leaves every unit as it is
  undo    changes the units back to what they were, also after the end of the roll-out

resume and undo follow the roll-out unless --no-block is given. The exit status is 0 if it has ended well: status
without --follow only reports, and fails only if there is no roll-out.`,
  examples: [
    { title: "See how far a roll-out is, and what it waits for", line: "fleetctl rollout status shop" },
    { title: "Go back to what the units were before", line: "fleetctl rollout undo shop" },
    { title: "Wait for the end of a roll-out in a script", line: "fleetctl rollout --follow status shop" },
  ],
  flags: [
    switchFlag("follow", "Show what happens until the end", "f"),
    noBlockFlag("changed"),
    secondsFlag(timeoutFlagName, 0, "Stop waiting after this time; the roll-out continues; 0 is no limit"),
    outputFlag("FORMAT", "Print text, json or yaml", "text", formats),
  ],
  async run(context) {
    formatOf(context, formats);
    const [action, ...names] = context.args;
    if (action === "status") return await showStatus(context, oneApp(names));
    const change = changes.find((each) => each === action);
    if (!change) throw new UsageError(`expected ${rolloutActions.join(", ")}, not ${JSON.stringify(action ?? "")}`);
    return await control(context, change, oneApp(names));
  },
};

async function showStatus(context: Context, app: string): Promise<number> {
  const { client, flags } = context;
  const found = await client.rollout(app);
  if (!found) throw new Error(await client.app(app) ? `Application ${app} has no roll-out` : appMissing(app));
  const isDocument = flags.text("output") !== "text";
  if (!flags.on("follow")) {
    await print(context, found);
    return 0;
  }
  if (!isDocument) await print(context, found);
  if (isOver(found)) {
    if (isDocument) await print(context, found);
    return found.status === "done" ? 0 : exitFailure;
  }
  return await follow(context, found, "done");
}

/** Follows a roll-out, and prints it at its end if the output is a document. */
async function follow(context: Context, begun: RolloutEntity, wanted: string): Promise<number> {
  const isQuiet = context.flags.text("output") !== "text";
  const { rollout, status } = await followRollout(context, begun, { wanted, isQuiet });
  if (isQuiet) await print(context, rollout);
  return status;
}

async function control(context: Context, action: typeof changes[number], app: string): Promise<number> {
  const { client, flags, io } = context;
  const changed = await client.controlRollout(app, { action });
  const isFollowed = (action === "resume" || action === "undo") && !flags.on("no-block");
  if (isFollowed) return await follow(context, changed, changed.status === "rolling-back" ? "rolled-back" : "done");
  if (flags.text("output") === "text") printLine(io, statusLine(changed));
  else await print(context, changed);
  return 0;
}

async function print(context: Context, rollout: RolloutEntity): Promise<void> {
  const { io, flags } = context;
  const format = flags.text("output");
  if (format === "json" || format === "yaml") return io.out(await documentText(rollout, format));
  printLine(io, statusLine(rollout));
  const rows = await Promise.all((rollout.steps ?? []).map((step) => rowOf(context, step)));
  if (rows.length === 0) return;
  for (const line of alignedLines([["UNIT", "CHANGE", "STATE", "MACHINE"], ...rows])) printLine(io, line);
  for (const { name, waiting } of rollout.steps ?? []) {
    if (waiting !== undefined) printLine(io, `Waiting for unit ${name}: it ${waiting}`);
  }
}

async function rowOf({ machines }: Context, step: RolloutStepEntity) {
  const { name, change, state, machineID: id } = step;
  const machine = id === undefined ? undefined : await machines.find(id) ?? { id };
  return [name, change, state + machinesText(step), machine ? machineLegend(machine, false) : nothing];
}
