import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { UsageError } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { suggestion } from "../units/set_state.ts";
import { complain, reasonOf } from "../terminal/port.ts";
import { optionsOf } from "../units/resolve_source.ts";

/** `fleetctl cat`: prints a unit's file. */
export const cat: Command = {
  name: "cat",
  summary: "Print the file of a unit in the cluster",
  usage: "cat UNIT...",
  units: { scope: "every unit" },
  description: `Prints unit files exactly as the cluster has them, and as machines get them. Of several
units, a comment with its name stands before each.`,
  flags: [],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) throw new UsageError("One unit file must be provided", true);
    const names = [...new Set(args.map(mangleUnitName))];
    let printed = 0;
    for (const name of names) {
      const text = await fileOf(context, name);
      if (text === undefined) continue;
      io.out(names.length === 1 ? text : `${printed === 0 ? "" : "\n"}# ${name}\n${text}`);
      printed++;
    }
    return printed === names.length ? 0 : exitFailure;
  },
};

/** The text of a unit's file; undefined if it is not to be had, which has been said. */
async function fileOf(context: Context, name: string): Promise<string | undefined> {
  const { client, io } = context;
  try {
    const unit = await client.unit(name);
    if (unit) return serializeUnitFile(optionsOf(unit.options));
    complain(io, `Unit ${name} not found${await suggestion(context, name)}`);
  } catch (error) {
    complain(io, `Error retrieving Unit ${name}: ${reasonOf(error)}`);
  }
  return undefined;
}
