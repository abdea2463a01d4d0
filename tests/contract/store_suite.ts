/**
 * The contract of {@link Store}. The registry relies on no other property of a store.
 *
 * @module
 */

import type { StoreCase } from "./store_fixture.ts";
import { reading, transacting } from "./store_value_cases.ts";
import { leasing, watching } from "./store_watch_cases.ts";

/** The contract. */
export const storeCases: readonly StoreCase[] = [...reading, ...transacting, ...leasing, ...watching];
