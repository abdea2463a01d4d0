/**
 * `/apps` and `/apps/{app}`: applications, their versions, and the start of a roll-out.
 *
 * @module
 */

import { type NewFile, RolloutEndedError, type RolloutStart } from "../../../registry/mod.ts";
import { validateAppName } from "../../../registry/apps.ts";
import {
  type AppName,
  type Authorship,
  type Cluster,
  type Rollout,
  rolloutPurposes,
  type StoredContent,
  type Unit,
  type UnitName,
} from "../../../registry/model.ts";
import { hasEnded } from "../../../registry/rollouts.ts";
import { firstRepeated } from "../../../runtime/first_repeated.ts";
import { quote, validateUnitName } from "../../../systemd/unit_name.ts";
import type { Api, Call } from "../context.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { maxAppBody_bytes } from "../http/limits.ts";
import { errorReply } from "../http/responses.ts";
import { appAtVersion, appEntity, appsOf, rolloutEntity, wholeApp } from "../v1/app_entities.ts";
import type { Complete } from "../v1/decode.ts";
import { AppRequest } from "../v1/types.ts";
import { missingContent, storedContents } from "./contents.ts";
import { readRequest } from "./json_request.ts";
import { recordOf, whyOwned } from "./plan.ts";
import { retryConflicts } from "./retry_conflicts.ts";
import { decidePut } from "./unit_put.ts";
import { authorship } from "./units.ts";

/** GET `/apps`. */
export async function listApps(api: Api, { query, peer }: Call): Promise<Response> {
  const page = requestedPage(query, api.pageSize);
  if ("refusal" in page) return errorReply(400, page.refusal);
  const cluster = await api.registry.read();
  const entries: Entries<readonly [AppName, readonly Unit[]]> = {
    key: ([name]) => name,
    text: ([name, units]) => JSON.stringify(appEntity(cluster, name, units)),
  };
  return api.responses.json(pageText("apps", [...appsOf(cluster)], page, entries), peer.whenOver);
}

/** GET `/apps/{app}`; with `version`, the units as that version left them. */
export async function getApp(api: Api, name: AppName, { query, peer }: Call): Promise<Response> {
  const wanted = query.get("version");
  if (wanted !== null && !/^[1-9]\d{0,8}$/.test(wanted)) {
    return errorReply(400, `invalid version ${quote(wanted)}: expect the number of a version`);
  }
  const cluster = await api.registry.read();
  const units = appsOf(cluster).get(name);
  if (!units) return errorReply(404, "application does not exist");
  if (wanted === null) return api.responses.json(JSON.stringify(wholeApp(cluster, name, units)), peer.whenOver);
  const versions = cluster.apps?.get(name)?.versions ?? [];
  if (!versions.some(({ number }) => number === Number(wanted))) {
    const kept = versions.length === 0 ? "it has none" : `it has ${versions[0]!.number} to ${versions.at(-1)!.number}`;
    return errorReply(404, `application has no version ${wanted}: ${kept}`);
  }
  const then = appAtVersion(cluster, name, units, Number(wanted));
  return api.responses.json(JSON.stringify(then), peer.whenOver);
}

/** POST `/apps/{app}`: starts a roll-out. */
export async function startRollout(api: Api, name: AppName, call: Call): Promise<Response> {
  const body = await readRequest(api, call, AppRequest, maxAppBody_bytes);
  if ("refusal" in body) return body.refusal;
  const invalid = validateAppName(name) ?? whyInvalid(body.value);
  if (invalid !== undefined) return errorReply(400, invalid);
  return await begin(api, name, call, (cluster) => {
    const decided = stepsOf(cluster, name, body.value);
    if ("refusal" in decided) return decided;
    const { what, maxParallel, rollback } = body.value;
    return {
      ...decided,
      what: rolloutPurposes.find((each) => each === what) ?? "apply",
      rollback,
      ...maxParallel > 0 && { maxParallel },
    };
  });
}

/** The refusal of a roll-out. */
interface Refusal {
  readonly refusal: string;
  readonly code: number;
}

/** The parts of a roll-out that a client decides on. */
export type Begun = Pick<RolloutStart, "what" | "steps" | "files" | "contents" | "rollback" | "isUndo" | "maxParallel">;

/** Starts the roll-out that `decide` makes of the cluster; decides again if another one was started meanwhile. */
export function begin(
  api: Api,
  app: AppName,
  call: Call,
  decide: (cluster: Cluster) => Begun | Refusal,
): Promise<Response> {
  return retryConflicts(api.clock, async () => {
    const cluster = await api.registry.read();
    const was = cluster.rollouts?.get(app);
    if (was && was.unreadable === undefined && !hasEnded(was)) return errorReply(409, whyBusy(was));
    const outdated = whyOutdated(cluster);
    if (outdated !== undefined) return errorReply(409, outdated);
    const decided = decide(cluster);
    if ("refusal" in decided) return errorReply(decided.code, decided.refusal);
    const unstaged = whyUnstaged(cluster, decided.steps);
    if (unstaged !== undefined) return errorReply(409, unstaged);
    const start: RolloutStart = { app, ...decided, ...authorship(api, call), ...was && { was } };
    try {
      const { id, revision } = await api.registry.startRollout(start);
      const steps = start.steps.map((step) => ({ ...step, state: "pending" as const, written: 0 }));
      const rollout: Rollout = { ...start, id, revision, steps, status: "running" };
      return api.responses.json(JSON.stringify(rolloutEntity(cluster, rollout)), call.peer.whenOver, 201);
    } catch (error) {
      if (error instanceof RolloutEndedError) return errorReply(409, error.message);
      throw error;
    }
  });
}

/** Returns why no other roll-out of an application may begin. */
function whyBusy({ app, status, changed }: Rollout): string {
  const by = changed === undefined ? "" : `, which ${changed.by} has started`;
  return `application ${quote(app)} has a roll-out that is ${status}${by}: wait for its end, or abort it`;
}

/** Returns why no roll-out may begin while a machine may lead whose engine would neither carry it out nor keep its files. */
function whyOutdated({ machines }: Cluster): string | undefined {
  const outdated = [...machines.values()].find(({ capabilities, unreadable }) =>
    unreadable === undefined && !capabilities.disableEngine && !capabilities.rollouts
  );
  return outdated &&
    `machine ${outdated.id} runs fleet ${outdated.version}, whose engine does not know roll-outs: upgrade it first`;
}

/** Returns why no global unit may be changed while a machine may lead whose engine cannot do so from machine to machine. */
function whyUnstaged({ machines, units }: Cluster, steps: RolloutStart["steps"]): string | undefined {
  const global = steps.find(({ unit: name, before, after }) => {
    const unit = units.get(name);
    // An aborted roll-out may have left another file on some machines.
    return before && after && unit?.requirements.global && (before.hash !== after.hash || unit.next !== undefined);
  });
  const outdated = global &&
    [...machines.values()].find(({ capabilities, unreadable }) =>
      unreadable === undefined && !capabilities.disableEngine && !capabilities.stagedGlobals
    );
  return outdated &&
    `machine ${outdated.id} runs fleet ${outdated.version}, whose engine cannot change global unit ${global.unit} from ` +
      `machine to machine: upgrade it first`;
}

type Changes = Complete<AppRequest>;

/** Returns why a request makes no sense in any cluster. */
function whyInvalid({ units, destroy, what }: Changes): string | undefined {
  if (what !== "" && !(rolloutPurposes as readonly string[]).includes(what)) {
    return `unknown what ${quote(what)}: expect ${rolloutPurposes.join(", ")}`;
  }
  const names = [...units, ...destroy].map(({ name }) => name);
  const twice = firstRepeated(names);
  if (twice !== undefined) return `unit ${quote(twice)} is named twice`;
  const invalid = names.find((name) => validateUnitName(name) !== undefined);
  return invalid === undefined ? undefined : `unit ${quote(invalid)}: ${validateUnitName(invalid)}`;
}

/** Returns the steps of a roll-out with the new files, or why it may not begin. */
function stepsOf(
  cluster: Cluster,
  app: AppName,
  { units, destroy }: Changes,
): Pick<RolloutStart, "steps" | "files" | "contents"> | Refusal {
  const steps: RolloutStart["steps"][number][] = [];
  const files = new Map<string, string>();
  const contents = new Set<StoredContent>();
  for (const { name, revision, desiredState, options } of units) {
    const refusal = whyNotAsPlanned(cluster, app, name, revision);
    if (refusal !== undefined) return { code: 409, refusal };
    const was = recordOf(cluster, name);
    const decision = decidePut(was, { name, desiredState, options });
    if (decision.kind === "refuse") return { code: decision.code, refusal: `unit ${quote(name)}: ${decision.message}` };
    const before = specOf(was.unit);
    const file: NewFile | undefined = decision.kind === "nothing" ? undefined : decision.file;
    const hash = file?.hash ?? was.unit!.hash;
    const after = { hash, desiredState: decision.kind === "nothing" ? was.unit!.desiredState : decision.desiredState };
    // A roll-out that was aborted may have left another file on some machines.
    if (decision.kind === "nothing" && was.unit!.app === app && !was.unit!.next) continue;
    if (file) files.set(file.hash, file.text);
    const { stored, missing } = storedContents(cluster, file?.fleetOptions ?? []);
    if (missing) return { code: 409, refusal: `unit ${quote(name)}: ${missingContent(missing)}` };
    for (const content of stored) contents.add(content);
    steps.push({ unit: name, planned: revision, ...before && { before }, after });
  }
  for (const { name, revision } of destroy) {
    const refusal = whyNotAsPlanned(cluster, app, name, revision);
    if (refusal !== undefined) return { code: 409, refusal };
    const before = specOf(cluster.units.get(name));
    if (before) steps.push({ unit: name, planned: revision, before });
  }
  return steps.length > 0
    ? { steps, files, contents: [...contents] }
    : { code: 400, refusal: "the request changes no unit" };
}

function specOf(unit: Unit | undefined): RolloutStart["steps"][number]["before"] {
  return unit && { hash: unit.hash, desiredState: unit.desiredState };
}

/** Returns why a unit may not be changed as it was planned. */
function whyNotAsPlanned({ units }: Cluster, app: AppName, name: UnitName, planned: number): string | undefined {
  const unit = units.get(name);
  const now = unit?.revision ?? 0;
  if (now !== planned) return `unit ${quote(name)} ${whatHappened(unit, planned)} since the plan was made: plan again`;
  return whyOwned(unit, app);
}

function whatHappened(unit: Unit | undefined, planned: number): string {
  if (!unit) return "was destroyed";
  const by: Authorship | undefined = unit.changed;
  return `was ${planned === 0 ? "created" : "changed"}${by ? ` by ${by.by}` : ""}`;
}
