import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { countFlag, Flags, UsageError } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { globalFlags } from "../cli/global_flags.ts";
import { printLine } from "../terminal/port.ts";
import { withFile } from "../units/local_file.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { existingUnit } from "../units/set_state.ts";
import { storedVersion, versionsInCluster } from "../units/versions.ts";
import { load } from "./load.ts";
import { start } from "./start.ts";
import { submit } from "./submit.ts";

/** The commands that replace a unit in each desired state, which it keeps. */
const replacing: Readonly<Record<string, Command>> = { launched: start, loaded: load, inactive: submit };

/** `fleetctl rollback`: replaces a unit's file by an older version of it. */
export const rollback: Command = {
  name: "rollback",
  isNew: true,
  group: "units",
  summary: "Go back to an older version of a unit",
  usage: "rollback [--to=N] [--no-block|--timeout=SECONDS] [--settle=SECONDS] UNIT",
  description:
    `Replaces the file of a unit by an older version, by default the one before the present. The unit keeps its
desired state: one that is launched is stopped and started again, and the command waits as fleetctl start
does. This is a new version, so that a second rollback comes back.`,
  examples: [
    { title: "Undo the latest change of a unit's file", line: "fleetctl rollback web.service" },
    { title: "Go back to the version that fleetctl history shows as 3", line: "fleetctl rollback --to=3 web.service" },
  ],
  units: { scope: "every unit" },
  flags: [
    countFlag("to", 0, "Go back to this version (default the one before the present)"),
    ...start.flags.filter(({ name }) => !["name", "sign", "allow-unknown", "replace", "max-parallel"].includes(name)),
  ],
  async run(context) {
    const { args, io, flags } = context;
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
    return await command.run({ ...context, io: withFile(io, name, text), args: [name], flags: asReplacement });
  },
};

/** Returns the number of the version before the present one. Throws if there is none. */
async function versionBefore(context: Context, name: string): Promise<number> {
  const { versions: [, before] } = await versionsInCluster(context, name);
  if (before) return before.version;
  throw new Error(`Unit ${name} has no version before the present one`);
}
