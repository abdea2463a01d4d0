/**
 * The handler of API v1: takes a request and returns a response. Pure; `http/server.ts` connects it to sockets.
 *
 * @module
 */

import type { Clock } from "../../runtime/clock.ts";
import { type Log, messageOf } from "../../runtime/log.ts";
import { type Registry, StoreLimitError, StoreUnavailableError, WrongStoreError } from "../../registry/mod.ts";
import { Explainer } from "../engine/explain.ts";
import { peerFields } from "./auth/audit.ts";
import { BodyReader } from "./http/body.ts";
import type { Api, Peer } from "./context.ts";
import { SharedState } from "./shared_state.ts";
import { discoveryText } from "./v1/discovery.ts";
import { Lists, UnitRenderer } from "./v1/entities.ts";
import { EventStreams } from "./events/stream.ts";
import { getApp, listApps, startRollout } from "./routes/apps.ts";
import { getBackup } from "./routes/backup.ts";
import { deleteCordon, listCordons, putCordon } from "./routes/cordons.ts";
import { getAccess } from "./routes/access.ts";
import { getContent, putContent } from "./routes/contents.ts";
import { deleteDrain, listDrains, postDrains } from "./routes/drains.ts";
import { deleteRebalance, getRebalance, postRebalance } from "./routes/rebalance.ts";
import { explainUnit } from "./routes/explain.ts";
import { getHistory } from "./routes/history.ts";
import type { LocalMachine } from "./machine/port.ts";
import { JournalStatusRoutes } from "./routes/journal_status.ts";
import { acceptLoss, getLoss } from "./routes/loss.ts";
import { listMachines, patchMachines } from "./routes/machines.ts";
import { type PagePorts, pageRoutes } from "./routes/page.ts";
import { planChanges } from "./routes/plan.ts";
import { errorReply, jsonReply, reply, textReply } from "./http/responses.ts";
import { controlRollout, getRollout } from "./routes/rollout.ts";
import { getState, listStates } from "./routes/state.ts";
import { type OperatorPorts, operatorRoutes } from "./routes/operator.ts";
import { PendingStops } from "./routes/original_client.ts";
import { openapiText } from "./v1/openapi.ts";
import { find, only, type Resource, resource, type Routes } from "./router.ts";
import { parseTarget } from "./http/request_target.ts";
import { commands, commandUnit, deleteUnit, getUnit, listUnits, putUnit } from "./routes/units.ts";
import { getUsage } from "./routes/usage.ts";
import { within } from "../../runtime/within.ts";

export type { Peer } from "./context.ts";

/** The options of {@link createHandler}. */
export interface HandlerOptions extends OperatorPorts, PagePorts {
  readonly registry: Registry;
  /** Reports whether the daemon can answer for the cluster, and the reason if it cannot. */
  readonly status: () => {
    readonly ready: boolean;
    readonly reason?: string;
    readonly missing?: string;
    readonly starting?: boolean;
  };
  /** Resolves when the daemon's status is no longer `starting`; absent if it never is. */
  readonly started?: () => Promise<void>;
  readonly log: Log;
  readonly clock: Clock;
  /** The number of entities on a page; 1 to 65535. */
  readonly pageSize: number;
  /** The version in the `Server` header. */
  readonly version: string;
  /** The machine that this daemon runs on; absent if the API is served outside of the cluster. */
  readonly localMachine?: LocalMachine;
  /** The state of the previous handler, if this one replaces it. */
  readonly sharedState?: SharedState;
  /** Aborted when another registry has replaced this one: endless responses end then. */
  readonly retired?: AbortSignal;
}

/** Answers one request. Never rejects. */
export type Handler = (request: Request, peer?: Peer) => Promise<Response>;

/** Makes the handler of all API paths. Throws RangeError when `pageSize` is out of range. */
export function createHandler(options: HandlerOptions): Handler {
  const { registry, status, log, clock, pageSize, version, localMachine, retired, sharedState = new SharedState() } =
    options;
  if (!Number.isInteger(pageSize) || pageSize < 1 || pageSize > 0xffff) {
    throw new RangeError(`page size must be a whole number from 1 to 65535, not ${pageSize}`);
  }
  const api: Api = {
    registry,
    log,
    clock,
    pageSize,
    units: new UnitRenderer(log),
    lists: new Lists(),
    bodies: new BodyReader(),
    responses: sharedState.responses,
    sharedState,
    pendingStops: new PendingStops(),
    ...(localMachine ? { localMachine } : {}),
    ...(retired ? { retired } : {}),
  };
  const routes = routesOf(api, options);
  // A comment behind the product (RFC 9110, 10.2.4).
  const server = `fleetd/${version}${localMachine?.isUser ? " (user)" : ""}`;

  const respond = async (request: Request, peer: Peer): Promise<Response> => {
    const url = peer.target ?? new URL(request.url).pathname + new URL(request.url).search;
    log("debug", `HTTP ${request.method} ${url}`, peerFields(peer));
    const target = parseTarget(url);
    const found = target.kind === "path" ? find(routes, target.segments) : undefined;
    try {
      if (!found?.resource.isLocal) await whenStarted(options);
      const { ready, reason } = status();
      if (!ready && !found?.resource.isLocal) return unavailable(reason);
      if (target.kind === "malformed") return errorReply(400, target.reason);
      if (target.kind === "moved") return moved(target.location);
      if (!found) return errorReply(404, "no resource at this path: /fleet/v1/openapi.json lists all paths");
      const { actions, otherwise } = found.resource;
      const action = Object.hasOwn(actions, request.method) ? actions[request.method] : undefined;
      return await (action ?? otherwise)({ request, peer, query: parametersOf(target.query) }, found.name);
    } catch (error) {
      if (error instanceof StoreUnavailableError) {
        return error.isFull ? errorReply(507, messageOf(error)) : unavailable(status().reason ?? messageOf(error));
      }
      if (error instanceof WrongStoreError) return errorReply(503, error.message);
      if (error instanceof StoreLimitError) return errorReply(413, messageOf(error));
      log("error", "a request failed", { method: request.method, path: url, error: messageOf(error) });
      return errorReply(500, messageOf(error));
    }
  };
  return async (request, peer = {}) => {
    const response = await respond(request, peer);
    response.headers.set("Server", server);
    return response;
  };
}

/** Time that a request waits for a starting daemon, so that a client that restarts the daemon need not retry. */
const startWait_ms = 5_000;

async function whenStarted({ status, started, clock }: HandlerOptions): Promise<void> {
  if (!status().starting || !started) return;
  await within(startWait_ms, clock, started);
}

/** Parses a query. Its first `?` is part of a name, though URLSearchParams would drop it. */
function parametersOf(query: string): URLSearchParams {
  return new URLSearchParams(query.replace(/^\?/, "%3F"));
}

function unavailable(reason: string | undefined): Response {
  return errorReply(503, "fleet server unable to communicate with etcd" + (reason?.trim() ? `: ${reason}` : ""));
}

function moved(location: string): Response {
  const entities: Record<string, string> = { "&": "&amp;", '"': "&#34;", "<": "&lt;", ">": "&gt;" };
  const link = location.replace(/[&"<>]/g, (character) => entities[character] as string);
  const page = `<a href="${link}">Moved Permanently</a>.\n\n`;
  return reply(301, "text/html; charset=utf-8", page, { Location: location });
}

/** The root and the prefix: they exist, but have no method. */
const emptyResource: Resource = {
  actions: {},
  otherwise: () => errorReply(405, "no method is supported against this resource"),
};

/** A resource for monitoring. */
function probe(report: () => Response): Resource {
  return { ...resource({ GET: report, HEAD: report }), isLocal: true };
}

/** Returns the routes of the whole API. */
export function routesOf(
  api: Api,
  options: Pick<HandlerOptions, "status" | "version"> & OperatorPorts & PagePorts,
): Routes {
  const { status, version } = options;
  const readiness = () => {
    const { ready, missing, reason = missing } = status();
    return ready && missing === undefined ? textReply(200, "ok") : textReply(503, reason?.trim() || "not ready");
  };
  const prefixed = [...clusterRoutes(api, version)].map(([path, resource]) => [`/fleet/v1/${path}`, resource] as const);
  return new Map<string, Resource>([
    ["/", emptyResource],
    ["/fleet/v1", emptyResource],
    ["/healthz", probe(() => textReply(200, "ok"))],
    ["/readyz", probe(readiness)],
    ...operatorRoutes(options),
    ...pageRoutes(options),
    ...prefixed,
  ]);
}

/** Returns the routes below the prefix that need the cluster. */
function clusterRoutes(api: Api, version: string): Routes {
  const events = new EventStreams(api);
  const machineRoutes = new JournalStatusRoutes(api);
  const explainer = new Explainer();
  return new Map<string, Resource>([
    // 400 as in fleet 1.0.
    ["discovery", { actions: { GET: () => jsonReply(discoveryText) }, otherwise: only("HTTP GET", 400) }],
    ["openapi.json", resource({ GET: () => jsonReply(openapiText(version)) })],
    ["machines", resource({ GET: (call) => listMachines(api, call), PATCH: (call) => patchMachines(api, call) })],
    ["cordons", resource({ GET: () => listCordons(api) })],
    [
      "machines/*/cordon",
      resource({ PUT: (call, id) => putCordon(api, id, call), DELETE: (_call, id) => deleteCordon(api, id) }),
    ],
    ["access", resource({ GET: ({ peer }) => getAccess(peer) })],
    ["usage", resource({ GET: (call) => getUsage(api, call) })],
    ["drains", resource({ GET: () => listDrains(api), POST: (call) => postDrains(api, call) })],
    ["drains/*", resource({ DELETE: (call, id) => deleteDrain(api, id, call) })],
    [
      "rebalance",
      resource({
        GET: (call) => getRebalance(api, call),
        POST: (call) => postRebalance(api, call),
        DELETE: () => deleteRebalance(api),
      }),
    ],
    ["loss", resource({ GET: () => getLoss(api), DELETE: () => acceptLoss(api) })],
    ["units", resource({ GET: (call) => listUnits(api, call) })],
    [
      "units/*",
      resource({
        GET: (call, name) => getUnit(api, name, call),
        PUT: (call, name) => putUnit(api, name, call),
        DELETE: (call, name) => deleteUnit(api, name, call),
      }),
    ],
    ...commands.map((verb): [string, Resource] => [
      ...[`units/*/${verb}`, resource({ POST: (call, name) => commandUnit(api, name, call, verb) })] as const,
    ]),
    ["units/*/explain", resource({ GET: (call, name) => explainUnit(api, explainer, name, call) })],
    ["units/*/history", resource({ GET: (call, name) => getHistory(api, name, call) })],
    ["units/*/journal", resource({ GET: (call, name) => machineRoutes.journal(call, name) })],
    ["units/*/status", resource({ GET: (call, name) => machineRoutes.status(call, name) })],
    ["apps", resource({ GET: (call) => listApps(api, call) })],
    [
      "apps/*",
      resource({
        GET: (call, name) => getApp(api, name, call),
        POST: (call, name) => startRollout(api, name, call),
      }),
    ],
    [
      "apps/*/rollout",
      resource({
        GET: (call, name) => getRollout(api, name, call),
        POST: (call, name) => controlRollout(api, name, call),
      }),
    ],
    ["plan", resource({ POST: (call) => planChanges(api, call) })],
    [
      "contents/*",
      resource({ GET: (call, hash) => getContent(api, hash, call), PUT: (call, hash) => putContent(api, hash, call) }),
    ],
    ["backup", resource({ GET: (call) => getBackup(api, call) })],
    ["state", resource({ GET: (call) => listStates(api, call) })],
    ["state/*", resource({ GET: (_call, name) => getState(api, name) })],
    ["events", resource({ GET: (call) => events.open(call) })],
  ]);
}
