/** The invariants. Each has a deliberate fault in mutants_test.ts that breaks it. */
export type Invariant =
  | "one machine"
  | "do no harm"
  | "acknowledged survives"
  | "refused never happens"
  | "settles"
  | "constraints"
  | "no overcommit"
  | "no storm"
  | "one copy"
  | "healthy first"
  | "one batch"
  | "old or new"
  | "ends"
  | "moves";

/** An invariant that does not hold. */
export class Violation extends Error {
  override name = "Violation";
  constructor(readonly invariant: Invariant, message: string) {
    super(`${invariant}: ${message}`);
  }
}
