import { type Command, exitUsage } from "../command.ts";
import { complain } from "../io.ts";

/** `fleetctl verify`, which has long been gone and says so. */
export const verify: Command = {
  name: "verify",
  isOffline: true,
  summary: "Does nothing any more",
  usage: "verify UNIT",
  deprecated: "DEPRECATED - No longer works",
  flags: [],
  run({ io }) {
    complain(io, "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.");
    return Promise.resolve(exitUsage);
  },
};
