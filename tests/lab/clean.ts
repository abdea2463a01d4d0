/** Removes the labs of killed test processes: `deno task lab:clean`. */

import { removeStaleLabs } from "./stale.ts";

for (const name of await removeStaleLabs()) console.error(`removed ${name}`);
