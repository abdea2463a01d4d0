/**
 * Encodes and decodes apps and roll-outs, see `codec.ts`.
 *
 * A roll-out has two values: what it does never changes, and its progress is written with every step. So a step writes a
 * few bytes for each unit, however many hashes the roll-out names.
 *
 * @module
 */

import {
  type App,
  type AppName,
  type AppVersion,
  desiredStates,
  type Revision,
  type Rollout,
  rolloutPurposes,
  rolloutStatuses,
  type RolloutStep,
  stepStates,
  type UnitDelta,
  type UnitSpec,
} from "../model.ts";
import type { KeyValue } from "../store/port.ts";
import { encode, Fields, now, type WrittenRevision } from "./codec.ts";

export function encodeApp({ versions, unknownFields }: Pick<App, "versions" | "unknownFields">): string {
  return encode({ ...unknownFields, versions });
}

export function decodeApp(name: AppName, kv: KeyValue): App {
  const fields = new Fields(kv);
  const versions = fields.objects("versions").map((version): AppVersion => {
    const changed = version.authorship();
    return {
      number: version.number("number"),
      what: version.oneOf("what", rolloutPurposes),
      ...changed && { changed },
      units: version.objects("units").map(decodeDelta),
    };
  });
  return { name, versions, revision: kv.modRevision, ...fields.unknown(["versions"]) };
}

/** The part of a roll-out that never changes. */
export type RolloutPlan =
  & Pick<Rollout, "app" | "id" | "what" | "changed" | "maxParallel" | "rollback" | "isUndo">
  & { readonly steps: readonly (UnitDelta & Pick<RolloutStep, "planned">)[] };

export function encodeRolloutPlan({ id, what, changed, maxParallel, rollback, isUndo, steps }: RolloutPlan): string {
  const planned = steps.map(({ unit, before, after, planned }) => ({ unit, before, after, planned }));
  return encode({ id, what, changed, maxParallel, rollback, isUndo, steps: planned });
}

export function decodeRolloutPlan(app: AppName, kv: KeyValue): RolloutPlan {
  const fields = new Fields(kv);
  const changed = fields.authorship();
  const maxParallel = fields.optionalNumber("maxParallel");
  return {
    app,
    id: fields.text("id"),
    what: fields.oneOf("what", rolloutPurposes),
    ...changed && { changed },
    ...maxParallel !== undefined && { maxParallel },
    rollback: fields.flag("rollback"),
    ...fields.flag("isUndo") && { isUndo: true },
    steps: fields.objects("steps").map((step) => ({ ...decodeDelta(step), planned: step.number("planned") })),
  };
}

/** The progress of a step, with the revision at which it wrote the unit. */
export type StepProgress = Pick<RolloutStep, "state"> & { readonly written: WrittenRevision };

/** The part of a roll-out that changes. The steps have the order of the plan. */
export type RolloutProgress = Pick<Rollout, "id" | "status" | "reason"> & { readonly steps: readonly StepProgress[] };

export function encodeProgress({ id, status, reason, steps }: RolloutProgress): string {
  return encode({ id, status, reason, steps: steps.map(({ state, written }) => [state, written]) });
}

/** Decodes the progress; revisions are numbers. */
export function decodeProgress(kv: KeyValue): Pick<Rollout, "id" | "status" | "reason" | "revision"> & {
  readonly steps: readonly Pick<RolloutStep, "state" | "written">[];
} {
  const fields = new Fields(kv);
  const reason = fields.optionalText("reason");
  return {
    id: fields.text("id"),
    status: fields.oneOf("status", rolloutStatuses),
    ...reason !== undefined && { reason },
    revision: kv.modRevision,
    steps: fields.array("steps").map((item) => stepOf(item, kv)),
  };
}

function stepOf(item: unknown, { key, modRevision }: KeyValue): Pick<RolloutStep, "state" | "written"> {
  const [found, revision] = Array.isArray(item) ? item as readonly unknown[] : [];
  const state = stepStates.find((each) => each === found);
  const written: unknown = revision === now ? modRevision : revision;
  if (state !== undefined && typeof written === "number") return { state, written };
  throw new TypeError(`cannot read key ${key}: steps must be a list of [state, revision]`);
}

function decodeDelta(fields: Fields): UnitDelta {
  const spec = (name: string): UnitSpec | undefined => {
    const found = fields.optionalObject(name);
    return found && { hash: found.text("hash"), desiredState: found.oneOf("desiredState", desiredStates) };
  };
  const before = spec("before");
  const after = spec("after");
  return { unit: fields.text("unit"), ...before && { before }, ...after && { after } };
}

/** Joins the parts of a roll-out. Throws a {@link TypeError} if they do not belong together. */
export function joinRollout(plan: RolloutPlan, progress: ReturnType<typeof decodeProgress>): Rollout {
  if (plan.id !== progress.id || plan.steps.length !== progress.steps.length) {
    throw new TypeError(`cannot read key progress/${plan.app}: it is not the progress of roll-out ${plan.id}`);
  }
  const steps = plan.steps.map((step, at) => ({ ...step, ...progress.steps[at]! }));
  return { ...plan, ...progress, steps };
}

/** Returns a stand-in for a roll-out that cannot be decoded: it has failed, and changes nothing. */
export function unreadableRollout(app: AppName, revision: Revision, why: string): Rollout {
  const nothing = { id: "", what: "apply", rollback: false, steps: [] } as const;
  return { app, ...nothing, status: "failed", reason: why, revision, unreadable: why };
}
