/**
 * What every {@link Systemd} must do, the fake as the real one.
 *
 * @module
 */

import type { SystemdCase } from "./systemd_fixture.ts";
import { lifeCases, refusalCases } from "./systemd_life_cases.ts";
import { ownershipCases } from "./systemd_ownership_cases.ts";
import { busCases, reloadCases } from "./systemd_reload_cases.ts";

/** All cases of the contract. */
export const systemdCases: readonly SystemdCase[] = [
  ...lifeCases,
  ...ownershipCases,
  ...refusalCases,
  ...reloadCases,
  ...busCases,
];
