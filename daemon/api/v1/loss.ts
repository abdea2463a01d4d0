/**
 * The wire types of the wait after a mass loss.
 *
 * @module
 */

import { count, entity, list, text, type TypeOf } from "./schema.ts";

const fields = {
  "missing?": list(
    "By ID, the machines that are missing. Absent while the engine does not wait.",
    text("A machine ID."),
  ),
  present: count("How many machines are present."),
  "since?": count("When the wait began, in milliseconds since the epoch."),
  "until?": count(
    "When the engine gives up the missing machines and moves their units, in milliseconds since the epoch.",
  ),
};

export type LossEntity = TypeOf<typeof LossEntity>;
export const LossEntity = entity(
  "Loss",
  "Whether the engine waits for machines because too many were lost at once.",
  fields,
);

export type LossEvent = TypeOf<typeof LossEvent>;
export const LossEvent = entity(
  "LossEvent",
  "The engine began or stopped waiting for machines that were lost at once.",
  {
    ...fields,
    "time?": count(
      "When the daemon saw it, in milliseconds since the epoch. Absent in events that come before `synced`.",
    ),
  },
);
