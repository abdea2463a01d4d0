/**
 * Makes property tests use the same cases in every run, so that a failure is caused by a change and not by chance. For
 * other cases, set `PROPERTY_SEED` to any integer; a failure prints its seed.
 */

import fc from "fast-check";

const given = Number(Deno.env.get("PROPERTY_SEED") ?? "");

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: Number.isSafeInteger(given) && given !== 0 ? given : 20_261_122,
});
