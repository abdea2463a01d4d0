/**
 * `/units`, `/units/{name}`, `/units/{name}/restart`, `/units/{name}/start` and `/units/{name}/stop`.
 *
 * @module
 */

import { isFileOption } from "../../../registry/attached_files.ts";
import { ConflictError, type NewFile, type UnitRecord } from "../../../registry/mod.ts";
import type { Authorship, StoredContent, Unit, UnitName } from "../../../registry/model.ts";
import type { Finding } from "../../../registry/unit_check.ts";
import { validateUnitName } from "../../../systemd/unit_name.ts";
import { authorOf } from "../auth/audit.ts";
import type { Api, Call } from "../context.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { isOriginalClient } from "./original_client.ts";
import { emptyReply, errorReply } from "../http/responses.ts";
import { type UnitEntity, UnitRequest } from "../v1/types.ts";
import { readRequest } from "./json_request.ts";
import { missingContent, storedContents } from "./contents.ts";
import { retryConflicts } from "./retry_conflicts.ts";
import { decidePut, type PutRequest } from "./unit_put.ts";

/** GET `/units`. */
export async function listUnits(api: Api, { query, peer }: Call): Promise<Response> {
  const page = requestedPage(query, api.pageSize);
  if ("refusal" in page) return errorReply(400, page.refusal);
  const cluster = await api.registry.read();
  const entries: Entries<Unit> = { key: ({ name }) => name, text: (unit) => api.units.text(cluster, unit) };
  return api.responses.json(pageText("units", api.lists.units(cluster), page, entries), peer.whenOver);
}

/** GET `/units/{name}`. */
export async function getUnit(api: Api, name: UnitName, { request, peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const unit = cluster.units.get(name);
  if (!unit) return errorReply(404, "unit does not exist");
  const text = api.units.text(cluster, unit);
  const showsPrevious = isOriginalClient(request) && api.pendingStops.take(name, api.clock.monotonic_ms());
  return api.responses.json(showsPrevious ? asLaunched(text) : text, peer.whenOver);
}

/** Returns a unit's entity with the current state from before its stop; a global unit has none. */
function asLaunched(text: string): string {
  const entity = JSON.parse(text) as UnitEntity;
  return JSON.stringify(entity.currentState === undefined ? entity : { ...entity, currentState: "launched" });
}

/** PUT `/units/{name}`: creates, replaces or updates. */
export async function putUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  const body = await readRequest(api, call, UnitRequest);
  if ("refusal" in body) return body.refusal;
  const request = body.value;
  if (request.name !== "" && request.name !== name) {
    const [inUrl, inBody] = [name, request.name].map((each) => JSON.stringify(each));
    return errorReply(400, `name in URL ${inUrl} differs from unit name in request body ${inBody}`);
  }
  const invalid = validateUnitName(name);
  if (invalid !== undefined) return errorReply(400, invalid);
  return await change(api, name, async (was) => {
    const outcome = await applyPut(api, was, request, call);
    const isStop = was.unit?.desiredState === "launched" && request.desiredState === "loaded";
    if (outcome.changed && isStop && isOriginalClient(call.request)) {
      api.pendingStops.add(name, api.clock.monotonic_ms());
    }
    return outcome;
  });
}

/** Returns the author and the time of a change. */
export function authorship({ clock }: Api, { peer }: Call): { readonly changed?: Authorship } {
  const by = authorOf(peer);
  return by === undefined ? {} : { changed: { by, at_ms: clock.now_ms() } };
}

async function applyPut(api: Api, was: UnitRecord, request: PutRequest, call: Call): Promise<Outcome> {
  const decision = decidePut(was, request);
  if (decision.kind === "refuse") return unchanged(errorReply(decision.code, decision.message));
  if (decision.kind === "nothing") return unchanged(emptyReply(204));
  const { desiredState, file, findings } = decision;
  const { app } = request;
  const owner = app ? { app } : {};
  const contents = await contentsFor(api, file);
  if ("missing" in contents) return unchanged(errorReply(409, contents.missing));
  await api.registry.commit({
    kind: "put",
    was,
    desiredState,
    ...file && { file },
    ...owner,
    ...contents,
    ...authorship(api, call),
  });
  if (findings.length === 0) return changed(emptyReply(decision.kind === "store" ? 201 : 204));
  const textOf = (some: readonly Finding[]) => `unit ${was.name}: ${some.map(({ message }) => message).join("; ")}`;
  // The client gets every finding. Only misspelled names, which fleet ignores, are logged as well.
  const unknown = findings.filter(({ kind }) => kind === "unknown");
  if (unknown.length > 0) api.log("warn", textOf(unknown));
  return changed(emptyReply(201, { Warning: `199 - ${asciiQuoted(textOf(findings))}` }));
}

/** Returns the contents that a unit file needs in the store, or says which one is missing there. */
async function contentsFor(
  { registry }: Api,
  file: NewFile | undefined,
): Promise<{ readonly contents?: readonly StoredContent[] } | { readonly missing: string }> {
  if (!file?.fleetOptions.some(isFileOption)) return {};
  const { stored, missing } = storedContents(await registry.read(), file.fleetOptions);
  return missing ? { missing: missingContent(missing) } : { contents: stored };
}

/** Returns a quoted-string (RFC 9110) in ASCII; other characters are escaped as in JSON. */
function asciiQuoted(text: string): string {
  const escape = (char: string) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(text.slice(0, 1000)).replace(/[^ -~]/g, escape);
}

/** DELETE `/units/{name}`. */
export function deleteUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  return change(api, name, async (was) => {
    if (!was.unit) return unchanged(errorReply(404, "unit does not exist"));
    const { changed: author } = authorship(api, call);
    if (author) api.sharedState.removals.set(name, author);
    await api.registry.commit({ kind: "delete", was });
    return changed(emptyReply(204));
  });
}

/** The desired state that each command for one run requires: a loaded unit that runs was started by something else. */
const requiredStates = { restart: "launched", start: "launched", stop: "loaded" } as const;

/** The last segments of {@link commandUnit}'s paths. */
export const commands = ["restart", "start", "stop"] as const;

/**
 * POST `/units/{name}/restart`, `start` and `stop`: the machines that have the unit bring it into its desired state once
 * more. They restart it, start it where it does not run, or stop it.
 */
export function commandUnit(
  api: Api,
  name: UnitName,
  call: Call,
  verb: typeof commands[number],
): Promise<Response> {
  return change(api, name, async (was) => {
    if (!was.unit) return unchanged(errorReply(404, "unit does not exist"));
    const { desiredState, unreadable } = was.unit;
    const isRequired = desiredState === requiredStates[verb];
    const reason = unreadable ?? (isRequired ? undefined : `its desired state is ${desiredState}`);
    if (reason !== undefined) {
      return unchanged(errorReply(409, `cannot ${verb} unit ${JSON.stringify(name)}: ${reason}`));
    }
    const restart = { restart: true, startOnly: verb === "start" };
    const { changed: author } = authorship(api, call);
    await api.registry.commit({
      ...{ kind: "put", was, desiredState },
      ...restart,
      ...author && { changed: { ...author, what: verb } },
    });
    return changed(emptyReply(204));
  });
}

/** The outcome of an attempt. */
interface Outcome {
  /** True if a change was committed. */
  readonly changed: boolean;
  readonly response: Response;
}

const unchanged = (response: Response): Outcome => ({ changed: false, response });
const changed = (response: Response): Outcome => ({ changed: true, response });

/**
 * Reads the unit and calls `attempt` with it; again from the start if another writer has changed the unit meanwhile.
 */
async function change(
  { registry, clock }: Api,
  name: UnitName,
  attempt: (was: UnitRecord) => Promise<Outcome>,
): Promise<Response> {
  const cached = registry.peek(name);
  if (cached) {
    // The store refuses a change of a stale unit. Without a change, the unit may be stale: the store must be read.
    try {
      const outcome = await attempt(cached);
      if (outcome.changed) return outcome.response;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  return await retryConflicts(clock, async () => (await attempt(await registry.unit(name))).response);
}
