import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { type Command, exitFailure } from "../command.ts";
import { complain, reasonOf } from "../io.ts";
import { optionsOf } from "../unit_source.ts";

/** `fleetctl cat`: prints a unit's file. */
export const cat: Command = {
  name: "cat",
  summary: "Print the file of a unit in the cluster",
  usage: "cat UNIT",
  description: "Prints the unit file exactly as the cluster has it, and as machines get it.",
  flags: [],
  async run({ client, io, args }) {
    if (args.length !== 1) {
      complain(io, "One unit file must be provided");
      return exitFailure;
    }
    const name = mangleUnitName(args[0] as string);
    try {
      const unit = await client.unit(name);
      if (unit) {
        io.out(serializeUnitFile(optionsOf(unit.options)));
        return 0;
      }
      complain(io, `Unit ${name} not found`);
    } catch (error) {
      complain(io, `Error retrieving Unit ${name}: ${reasonOf(error)}`);
    }
    return exitFailure;
  },
};
