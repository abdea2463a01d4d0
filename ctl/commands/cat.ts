import { serializeUnitFile } from "../../systemd/unit_file.ts";
import { mangleUnitName } from "../../systemd/unit_name.ts";
import { attachedFiles } from "../../registry/attached_files.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import { switchFlag } from "../cli/argv.ts";
import type { Command, Context } from "../cli/command.ts";
import { contentText, storedContent } from "../units/attached_contents.ts";
import { existingUnit, showEach } from "../units/set_state.ts";
import { optionsOf } from "../units/resolve_source.ts";
import { storedVersion, versionFlag, versionOf } from "../units/versions.ts";

const filesFlag = switchFlag("files", "Print the files that units have by File=, too");

/** `fleetctl cat`: prints a unit's file. */
export const cat: Command = {
  name: "cat",
  group: "observe",
  summary: "Print the files of units",
  usage: "cat [--at=N] [--files] UNIT...",
  description: `Prints unit files exactly as the cluster stores them and as machines get them. With several units, a
comment with the name stands above each. fleetctl history shows the numbers of older versions. With --files,
the files that a unit has by File= follow, each below a comment with its path, permissions and size.`,
  examples: [
    { title: "Print the file of a unit", line: "fleetctl cat hello.service" },
    { title: "Print an older version of it", line: "fleetctl cat --at=2 hello.service" },
    { title: "Save the files of all instances of a template", line: "fleetctl cat 'web@*' > web-units.txt" },
  ],
  units: { scope: "every unit" },
  flags: [versionFlag, filesFlag],
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
      if (context.flags.on(filesFlag.name)) await printFiles(context, optionsOf(options));
      return 0;
    });
  },
};

async function printFiles({ client, io }: Context, options: readonly UnitOption[]): Promise<void> {
  for (const file of attachedFiles(options)) {
    const bytes = await storedContent(client, file);
    const text = contentText({ bytes });
    const mode = file.mode.toString(8).padStart(4, "0");
    const kind = text === undefined ? ", binary" : "";
    io.out(`\n# ${file.path} (${mode}, ${bytes.length} bytes${kind})\n`);
    if (text) io.out(text.endsWith("\n") ? text : `${text}\n`);
  }
}
