import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { noUnitsGiven, suggestion } from "../units/set_state.ts";
import { printError, reasonOf } from "../terminal/port.ts";
import { optionsOf } from "../units/resolve_source.ts";

/** `fleetctl cat`: prints a unit's file. */
export const cat: Command = {
  name: "cat",
  group: "observe",
  summary: "Print the files of units",
  usage: "cat UNIT...",
  description: `Prints unit files exactly as the cluster stores them and as machines get them. With several units, a
comment with the name stands above each.`,
  examples: [
    { title: "Print the file of a unit", line: "fleetctl cat hello.service" },
    { title: "Save the files of all instances of a template", line: "fleetctl cat 'web@*' > web-units.txt" },
  ],
  units: { scope: "every unit" },
  flags: [],
  async run(context) {
    const { io, args } = context;
    if (args.length === 0) throw noUnitsGiven();
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

/** Returns the text of a unit's file; undefined, after an error message, if the API does not return it. */
async function fileOf(context: Context, name: string): Promise<string | undefined> {
  const { client, io } = context;
  try {
    const unit = await client.unit(name);
    if (unit) return serializeUnitFile(optionsOf(unit.options));
    printError(io, `Unit ${name} not found${await suggestion(context, name)}`);
  } catch (error) {
    printError(io, `Error retrieving unit ${name}: ${reasonOf(error)}`);
  }
  return undefined;
}
