/**
 * Property tests try the same cases in every run, so that a change is judged by itself and not by luck. To look further,
 * run with `PROPERTY_SEED=` and any whole number; a failure prints the seed that leads to it.
 */

import fc from "fast-check";

const given = Number(Deno.env.get("PROPERTY_SEED") ?? "");

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: Number.isSafeInteger(given) && given !== 0 ? given : 20_261_122,
});
