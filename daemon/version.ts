import manifest from "../deno.json" with { type: "json" };

/** fleet's version. */
export const version: string = manifest.version;
