/**
 * `/units`, `/units/{name}`, `/units/{name}/restart`, `/units/{name}/start` and `/units/{name}/stop`.
 *
 * @module
 */

import { ConflictError, type UnitRecord } from "../../../registry/mod.ts";
import type { Authorship, DesiredState, Unit, UnitName } from "../../../registry/model.ts";
import type { Finding } from "../../../registry/unit_check.ts";
import { validateUnitName } from "../../../systemd/unit_name.ts";
import { authorOf } from "../auth/audit.ts";
import type { Api, Call } from "../context.ts";
import { type Entries, pageText, requestedPage } from "../http/pages.ts";
import { isOriginalClient } from "./original_client.ts";
import { emptyReply, errorReply } from "../http/responses.ts";
import { decode } from "../v1/decode.ts";
import { type UnitEntity, UnitRequest } from "../v1/types.ts";
import { decideUpdate, type PutRequest } from "./unit_put.ts";

/** Attempts at a change that others get in the way of. */
const maxAttempts = 10;

/** GET `/units`. */
export async function listUnits(api: Api, { query, peer }: Call): Promise<Response> {
  const asked = requestedPage(query, api.pageSize);
  if ("refusal" in asked) return errorReply(400, asked.refusal);
  const cluster = await api.registry.read();
  const entries: Entries<Unit> = { key: ({ name }) => name, text: (unit) => api.units.text(cluster, unit) };
  return api.responses.json(pageText("units", api.lists.units(cluster), asked, entries), peer.whenOver);
}

/** GET `/units/{name}`. */
export async function getUnit(api: Api, name: UnitName, { request, peer }: Call): Promise<Response> {
  const cluster = await api.registry.read();
  const unit = cluster.units.get(name);
  if (!unit) return errorReply(404, "unit does not exist");
  const text = api.units.text(cluster, unit);
  const showsStateBefore = isOriginalClient(request) && api.stopsUnseen.take(name, api.clock.monotonic_ms());
  return api.responses.json(showsStateBefore ? asLaunched(text) : text, peer.whenOver);
}

/** A unit's entity with the current state it had before it was stopped; a global unit has none. */
function asLaunched(text: string): string {
  const entity = JSON.parse(text) as UnitEntity;
  return JSON.stringify(entity.currentState === undefined ? entity : { ...entity, currentState: "launched" });
}

/** PUT `/units/{name}`: creates, replaces or updates. */
export async function putUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  const unsupported = checkContentType(call);
  if (unsupported !== undefined) return errorReply(415, unsupported);
  const body = await api.bodies.readJson(call.request, call.peer.body);
  if ("refusal" in body) return errorReply(body.code, `unable to decode body: ${body.refusal}`);
  const decoded = decode(UnitRequest, body.value);
  if ("refusal" in decoded) return errorReply(400, `unable to decode body: ${decoded.refusal}`);
  const request = decoded.value;
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
      api.stopsUnseen.add(name, api.clock.monotonic_ms());
    }
    return outcome;
  });
}

function checkContentType({ request, peer }: Call): string | undefined {
  const value = request.headers.get("content-type");
  const count = peer.contentTypes ?? (value === null ? 0 : 1);
  if (count !== 1 || value === null) return `expected 1 Content-Type, got ${count}`;
  const mediaType = value.split(";", 1)[0] as string;
  return mediaType.trim() === "application/json" ? undefined : "only acceptable Content-Type is application/json";
}

/** Who asks for a change, as a part of it. */
function changedBy({ clock }: Api, { peer }: Call): { readonly changed?: Authorship } {
  const by = authorOf(peer);
  return by === undefined ? {} : { changed: { by, at_ms: clock.now_ms() } };
}

async function applyPut(api: Api, was: UnitRecord, request: PutRequest, call: Call): Promise<Outcome> {
  const decision = decideUpdate(was, request);
  if (decision.kind === "refuse") return refused(errorReply(decision.code, decision.message));
  if (decision.kind === "nothing") return refused(emptyReply(204));
  const { desiredState, file, findings } = decision;
  await api.registry.commit({ kind: "put", was, desiredState, ...(file ? { file } : {}), ...changedBy(api, call) });
  if (findings.length === 0) return done(emptyReply(decision.kind === "store" ? 201 : 204));
  const told = (some: readonly Finding[]) => `unit ${was.name}: ${some.map(({ message }) => message).join("; ")}`;
  // The client learns of every finding; only misspelled names, which are ignored, are logged as well.
  const unknown = findings.filter(({ kind }) => kind === "unknown");
  if (unknown.length > 0) api.log("warn", told(unknown));
  return done(emptyReply(201, { Warning: `199 - ${asciiQuoted(told(findings))}` }));
}

/** A quoted-string of RFC 9110 in ASCII: anything else is escaped as in JSON. */
function asciiQuoted(text: string): string {
  const escape = (char: string) => "\\u" + char.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(text.slice(0, 1000)).replace(/[^ -~]/g, escape);
}

/** DELETE `/units/{name}`. */
export function deleteUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  return change(api, name, async (was) => {
    if (!was.unit) return refused(errorReply(404, "unit does not exist"));
    const { changed } = changedBy(api, call);
    if (changed) api.sharedState.removals.add(name, changed);
    await api.registry.commit({ kind: "delete", was });
    return done(emptyReply(204));
  });
}

/** POST `/units/{name}/restart`: the machines that have the unit restart it once. What is not to run is not restarted. */
export function restartUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  return request(api, name, call, "restart", "launched");
}

/** POST `/units/{name}/start`: the machines that have the unit start it once where it does not run. */
export function startUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  return request(api, name, call, "start", "launched");
}

/**
 * POST `/units/{name}/stop`: the machines that have the unit stop it once, although it is wanted no more than loaded:
 * something else has started it there.
 */
export function stopUnit(api: Api, name: UnitName, call: Call): Promise<Response> {
  return request(api, name, call, "stop", "loaded");
}

/** Asks the machines that have a unit to bring it into the state once more that it is wanted in. */
function request(
  api: Api,
  name: UnitName,
  call: Call,
  verb: "restart" | "start" | "stop",
  state: DesiredState,
): Promise<Response> {
  return change(api, name, async (was) => {
    if (!was.unit) return refused(errorReply(404, "unit does not exist"));
    const { desiredState, unreadable } = was.unit;
    const why = unreadable ?? (desiredState === state ? undefined : `its desired state is ${desiredState}`);
    if (why !== undefined) {
      return refused(errorReply(409, `cannot ${verb} unit ${JSON.stringify(name)}: ${why}`));
    }
    const restart = { restart: true, startOnly: verb === "start" };
    await api.registry.commit({ kind: "put", was, desiredState, ...restart, ...changedBy(api, call) });
    return done(emptyReply(204));
  });
}

/** What an attempt came to; `changed`: it was committed. */
interface Outcome {
  readonly changed: boolean;
  readonly response: Response;
}

const refused = (response: Response): Outcome => ({ changed: false, response });
const done = (response: Response): Outcome => ({ changed: true, response });

/** Reads the unit and lets `attempt` decide on it; from the top when somebody else changed the unit meanwhile. */
async function change(
  { registry, clock }: Api,
  name: UnitName,
  attempt: (was: UnitRecord) => Promise<Outcome>,
): Promise<Response> {
  const glimpsed = registry.peek(name);
  if (glimpsed) {
    // The store refuses a change that was decided on old news. Whatever else came out has to be decided on what is true.
    try {
      const answer = await attempt(glimpsed);
      if (answer.changed) return answer.response;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
    }
  }
  for (let attempts = 1;; attempts++) {
    const was = await registry.unit(name);
    try {
      return (await attempt(was)).response;
    } catch (error) {
      if (!(error instanceof ConflictError)) throw error;
      if (attempts >= maxAttempts) return errorReply(409, `${error.message}; gave up after ${attempts} attempts`);
      await clock.sleep(clock.random() * 5 * attempts);
    }
  }
}
