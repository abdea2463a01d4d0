import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import type { Command } from "../cli/command.ts";
import { existingUnit, showEach } from "../units/set_state.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { storedVersion, versionFlag, versionOf } from "../units/versions.ts";

/** `fleetctl cat`: prints a unit's file. */
export const cat: Command = {
  name: "cat",
  group: "observe",
  summary: "Print the files of units",
  usage: "cat [--at=N] UNIT...",
  description: `Prints unit files exactly as the cluster stores them and as machines get them. With several units, a
comment with the name stands above each. fleetctl history shows the numbers of older versions.`,
  examples: [
    { title: "Print the file of a unit", line: "fleetctl cat hello.service" },
    { title: "Print an older version of it", line: "fleetctl cat --at=2 hello.service" },
    { title: "Save the files of all instances of a template", line: "fleetctl cat 'web@*' > web-units.txt" },
  ],
  units: { scope: "every unit" },
  flags: [versionFlag],
  run(context) {
    const names = [...new Set(context.args.map(mangleUnitName))];
    const version = versionOf(context);
    let printed = 0;
    return showEach(context, names, async (name) => {
      const { options } = version === undefined
        ? await existingUnit(context, name, "not found")
        : await storedVersion(context, name, version);
      const text = serializeUnitFile(optionsOf(options));
      context.io.out(names.length === 1 ? text : `${printed++ === 0 ? "" : "\n"}# ${name}\n${text}`);
      return 0;
    });
  },
};
