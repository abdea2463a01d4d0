import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { carryOut, rolloutFlags } from "../apps/carry_out.ts";
import { appAmong, appFlag, appMissing } from "../apps/name.ts";
import { countFlag, Flags, UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { globalFlags } from "../cli/global_flags.ts";
import { planFormat } from "../output/plan.ts";
import { printLine } from "../terminal/port.ts";
import { withStoredFile } from "../units/local_file.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { existingUnit } from "../units/set_state.ts";
import { storedVersion, versionsInCluster } from "../units/versions.ts";
import { load } from "./load.ts";
import { start } from "./start.ts";
import { submit } from "./submit.ts";

/** The commands that replace a unit in each desired state, which it keeps. */
const replacing: Readonly<Record<string, Command>> = { launched: start, loaded: load, inactive: submit };

const unitFlags = start.flags.filter(({ name }) => {
  return !["name", "sign", "allow-unknown", "replace", "max-parallel"].includes(name);
});

/** `fleetctl rollback`: replaces the file of a unit, or the units of an application, by an older version. */
export const rollback: Command = {
  name: "rollback",
  isNew: true,
  group: "units",
  summary: "Go back to an older version of a unit or an application",
  usage: "rollback [--to=N] [--no-block|--timeout=TIME] [--settle=TIME] UNIT|APP|--app=APP",
  description:
    `Replaces the file of a unit by an older version, by default the one before the present. The unit keeps its
desired state: one that is launched is stopped and started again, and the command waits as fleetctl start
does. This is a new version, so that a second rollback comes back.

For an application, its units get the files and desired states of that version; units that did not exist then are
destroyed. The changes are shown and carried out as by fleetctl apply, with the same flags. A name without a type such
as .service is that of a unit if there is such a unit.`,
  examples: [
    { title: "Undo the latest change of a unit's file", line: "fleetctl rollback web.service" },
    { title: "Go back to the version that fleetctl history shows as 3", line: "fleetctl rollback --to=3 web.service" },
    { title: "Undo the latest change of an application", line: "fleetctl rollback --app=shop" },
  ],
  units: { scope: "every unit", areOptional: true },
  flags: [
    countFlag("to", 0, "Go back to this version (default the one before the present)"),
    appFlag,
    ...unitFlags,
    ...rolloutFlags.filter(({ name }) => !unitFlags.some((flag) => flag.name === name)),
  ],
  async run(context) {
    const { args, io, flags } = context;
    const app = await appAmong(context);
    if (app !== undefined) return await rollBackApp(context, app);
    const [name, more] = args.map(mangleUnitName);
    if (name === undefined || more !== undefined) throw new UsageError("expected one unit");
    const unit = await existingUnit(context, name, "not found");
    const to = flags.given("to") ? flags.number("to") : await versionBefore(context, name);
    const { options } = await storedVersion(context, name, to);
    const text = serializeUnitFile(optionsOf(options));
    if (text === serializeUnitFile(optionsOf(unit.options))) {
      printLine(io, `Unit ${name} has the file of version ${to} already`);
      return 0;
    }
    const command = replacing[unit.desiredState ?? "inactive"] ?? submit;
    const asReplacement = new Flags([...globalFlags, ...command.flags], flags.values).with(
      new Map([["replace", true], ["allow-unknown", true]]),
    );
    return await command.run({ ...context, io: withStoredFile(io, name, text), args: [name], flags: asReplacement });
  },
};

/** Brings the units of an application to what one of its versions had. */
async function rollBackApp(context: Context, name: string): Promise<number> {
  planFormat(context);
  const { client, flags } = context;
  const now = await client.app(name);
  if (!now) throw new Error(appMissing(name));
  const to = flags.given("to") ? flags.number("to") : now.versions?.[1]?.version;
  if (to === undefined) throw new Error(`Application ${name} has no version before the present one`);
  const then = await client.app(name, to);
  const { units = [], missing = [] } = then ?? {};
  if (missing.length > 0) {
    throw new Error(`The store no longer has the files that version ${to} of ${name} had of ${missing.join(", ")}`);
  }
  const files = new Map(units.map((unit) => [unit.name, { options: optionsOf(unit.options) }]));
  const plan = await client.plan({
    app: name,
    prune: true,
    units: units.map((unit) => ({ ...unit, options: files.get(unit.name)!.options })),
  });
  return await carryOut(context, { app: name, what: "rollback", plan, files });
}

/** Returns the number of the version before the present one. Throws if there is none. */
async function versionBefore(context: Context, name: string): Promise<number> {
  const { versions: [, before] } = await versionsInCluster(context, name);
  if (before) return before.version;
  throw new Error(`Unit ${name} has no version before the present one`);
}
