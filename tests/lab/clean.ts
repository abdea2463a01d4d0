/** Removes the labs that killed test processes left on this host: `deno run -A tests/lab/clean.ts`. */

import { removeStaleLabs } from "./stale.ts";

for (const name of await removeStaleLabs()) console.error(`removed ${name}`);
