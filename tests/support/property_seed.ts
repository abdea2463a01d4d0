/**
 * Sets the seed of property tests, so that every run tries the same cases. To try other cases, set `PROPERTY_SEED` to any
 * whole number except 0; a failure prints the seed that reproduces it.
 */

import fc from "fast-check";

const given = Number(Deno.env.get("PROPERTY_SEED") ?? "");

fc.configureGlobal({
  ...fc.readConfigureGlobal(),
  seed: Number.isSafeInteger(given) && given !== 0 ? given : 20_261_122,
});
