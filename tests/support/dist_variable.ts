/**
 * The variable by which a run of the tests says where it has built the programs.
 *
 * @module
 */

/** Its value is a directory with `fleetd` and `fleetctl`. Without it, each test builds the programs itself. */
export const distVariable = "LAB_DIST";
