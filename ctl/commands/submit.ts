import type { Command } from "../cli/command.ts";
import { exitFailure } from "../cli/command.ts";
import { createUnits, creationFlags, replaceFlag } from "../units/upload.ts";
import { noUnitsGiven } from "../units/set_state.ts";

/** `fleetctl submit`: brings units into the cluster without scheduling them. */
export const submit: Command = {
  name: "submit",
  units: { scope: "every unit" },
  summary: "Upload units to the cluster without starting them",
  usage: "submit [--replace] UNIT...",
  description: `Puts unit files into the cluster. They stay inactive until they are loaded or started.

A unit that is in the cluster already stays as it is, with a warning if its local
file differs; --replace replaces it as long as it is inactive.

Submit one unit, or all of a directory:
fleetctl submit foo.service
fleetctl submit myservice/*`,
  flags: [...creationFlags, replaceFlag],
  async run(context) {
    if (context.args.length === 0) throw noUnitsGiven();
    const created = await createUnits(context, {
      replaceable: ["inactive"],
      replace: context.flags.on("replace"),
      attempts: 0,
    });
    return created && !created.some((unit) => unit.isKept) ? 0 : exitFailure;
  },
};
