/** The version of fleetctl, equal to `version` in deno.json (a test holds them together). */
export const version = "2.0.0";
