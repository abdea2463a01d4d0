/**
 * The contract of {@link Registry}, over any store. Each case has a few daemons on one store.
 *
 * @module
 */

import { engineCases } from "./registry_engine_cases.ts";
import type { Case } from "./registry_fixture.ts";
import { identityCases } from "./registry_identity_cases.ts";
import { memberCases } from "./registry_member_cases.ts";
import { stateCases } from "./registry_state_cases.ts";
import { newerVersionCases, placedCases, unitCases } from "./registry_unit_cases.ts";
import { watchCases } from "./registry_watch_cases.ts";

/** Cases that hold on every store. */
export const registryCases: readonly Case[] = [
  ...unitCases,
  ...placedCases,
  ...newerVersionCases,
  ...watchCases,
  ...memberCases,
  ...stateCases,
  ...engineCases,
  ...identityCases,
];
