import { type Command, exitFailure } from "../cli/command.ts";
import { createUnits, creationFlags, replaceFlag } from "../units/upload.ts";

/** `fleetctl submit`: uploads units without placing them. */
export const submit: Command = {
  name: "submit",
  units: { scope: "every unit" },
  group: "units",
  summary: "Upload units to the cluster without placing them",
  usage: "submit [--replace] UNIT...",
  description: `Uploads unit files. The units stay inactive until they are loaded or started.

A unit that the cluster has stays as it is, with a warning if the local file differs; --replace replaces it
if it is inactive.`,
  examples: [
    { title: "Submit a unit", line: "fleetctl submit hello.service" },
    { title: "Submit all units of a directory", line: "fleetctl submit units/*.service" },
  ],
  flags: [...creationFlags, replaceFlag],
  async run(context) {
    const created = await createUnits(context, {
      replaceable: ["inactive"],
      replace: context.flags.on("replace"),
      attempts: 0,
    });
    return created.some((unit) => unit.isKept) ? exitFailure : 0;
  },
};
