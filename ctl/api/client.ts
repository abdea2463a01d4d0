/**
 * The client of API v1 that commands use, over any transport.
 *
 * @module
 */

import type {
  AcceptedStoreEntity,
  AppEntity,
  AppPage,
  AppRequest,
  BackupEntity,
  ContentEntity,
  ExplanationEntity,
  HistoryEntity,
  LossEntity,
  MachineEntity,
  MachinePage,
  PlanEntity,
  PlanRequest,
  RolloutEntity,
  RolloutRequest,
  UnitEntity,
  UnitPage,
  UnitStateEntity,
  UnitStatePage,
  UsageEntity,
} from "../../daemon/api/v1/types.ts";
import type { ServerCertificate } from "./certificate_expiry.ts";
import { MaintenanceClient } from "./maintenance.ts";
import { ApiError, type ErrorResponse, isMissing, isUnknownRoute, parseErrorEntity, readError } from "./refusal.ts";
import type { Health, UnitReport } from "./reports.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";

export { ApiError };

export type { Health, UnitReport };

/** Sends a request to the API. `path` is relative to the endpoint. Rejects with {@link UnreachableError}. */
export type Send = (path: string, request: ApiRequest) => Promise<Response>;

/** A request as {@link Send} takes it. */
export interface ApiRequest {
  readonly method: string;
  readonly body?: string;
  /** True: the time limit applies only to the head of the response, because the body may be endless. */
  readonly streaming?: boolean;
  readonly signal?: AbortSignal;
}

/** The API could not be reached, or did not respond in time. The message names the endpoint. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
}

/** Largest number of pages of one list: a server that sends more is in a loop. */
const maxPages = 100_000;

/** The header of a journal whose entries a daemon has selected as requested; older daemons ignore the request. */
const selectedHeader = "fleet-selected";

/** The API of the cluster. Methods throw {@link ApiError} and {@link UnreachableError}. */
export class ApiClient {
  readonly #endpoint: () => string;

  /**
   * Sends its requests through `send`. `endpoint` is a function if it can change. `close` closes the connections, and
   * `certificates` returns the certificates of the endpoints that use TLS.
   */
  constructor(
    endpoint: string | (() => string),
    /** Sends a request as it is, and returns the response, also a refusal. */
    readonly send: Send,
    readonly close: () => void,
    readonly certificates: () => Promise<readonly ServerCertificate[]> = () => Promise.resolve([]),
  ) {
    this.#endpoint = typeof endpoint === "string" ? () => endpoint : endpoint;
  }

  /** The requests about cordons, drains and moves. */
  get maintenance(): MaintenanceClient {
    return this.#maintenance ??= new MaintenanceClient({
      ask: (path, request, isNone) => this.#ask(path, request, isNone),
      json: (answer) => this.#json(answer),
    });
  }
  #maintenance: MaintenanceClient | undefined;

  /** The endpoint, for messages. */
  get endpoint(): string {
    return this.#endpoint();
  }

  /** Returns one unit; undefined if it does not exist. */
  unit(name: string): Promise<UnitEntity | undefined> {
    return this.#get<UnitEntity>(unitPath(name), isMissing);
  }

  /** Returns every unit, in the server's order. */
  units(): Promise<readonly UnitEntity[]> {
    return this.#pages("/fleet/v1/units", {}, ({ units }) => units);
  }

  /** Returns every unit state, or those of one unit, in the server's order. */
  states(unit?: string): Promise<readonly UnitStateEntity[]> {
    return this.#pages("/fleet/v1/state", unit === undefined ? {} : { unitName: unit }, ({ states }) => states);
  }

  /** Returns every machine, in the server's order. */
  machines(): Promise<readonly MachineEntity[]> {
    return this.#pages("/fleet/v1/machines", {}, ({ machines }) => machines);
  }

  /** Creates, replaces or updates a unit. */
  async putUnit(unit: UnitEntity): Promise<void> {
    await this.#change(unitPath(unit.name), { method: "PUT", body: JSON.stringify(unit) });
  }

  /** Removes a unit. Returns false if it does not exist. */
  deleteUnit(name: string): Promise<boolean> {
    return this.#change(unitPath(name), { method: "DELETE" }, isMissing);
  }

  /** Requests a restart. Returns false if the server does not support the request. */
  restartUnit(name: string): Promise<boolean> {
    return this.#change(unitPath(name, "/restart"), { method: "POST" }, isUnknownRoute);
  }

  /** Requests the start of a launched unit on machines where it does not run. Returns false if the server does not support it. */
  startUnit(name: string): Promise<boolean> {
    return this.#change(unitPath(name, "/start"), { method: "POST" }, isUnknownRoute);
  }

  /** Requests the stop of a loaded unit that something else has started. Returns false if the server does not support it. */
  stopUnit(name: string): Promise<boolean> {
    return this.#change(unitPath(name, "/stop"), { method: "POST" }, isUnknownRoute);
  }

  /**
   * Returns why a unit is on its machine, or on none; undefined if the server does not support it. Throws if the unit does
   * not exist.
   */
  explain(name: string): Promise<ExplanationEntity | undefined> {
    return this.#get<ExplanationEntity>(unitPath(name, "/explain"), isUnknownRoute);
  }

  /** Returns the versions of a unit, newest first, or the one with this number and the options of its file. */
  async history(name: string, version?: number): Promise<HistoryEntity> {
    const path = unitPath(name, "/history") + (version === undefined ? "" : `&version=${version}`);
    return await this.#required<HistoryEntity>(path, "keeps no history of units");
  }

  /** Returns what would happen because of changes. Throws if the server does not support it. */
  async plan(changes: PlanRequest): Promise<PlanEntity> {
    const request = { method: "POST", body: JSON.stringify(changes) } as const;
    const answer = await this.#ask("/fleet/v1/plan", request, isUnknownRoute);
    if (!answer) throw new Error(`${this.endpoint} runs a fleet that cannot make plans`);
    return await this.#json<PlanEntity>(answer);
  }

  /** Returns every application, in the server's order; none if the server does not support them. */
  apps(): Promise<readonly AppEntity[]> {
    return this.#pages("/fleet/v1/apps", {}, ({ apps }) => apps, isUnknownRoute);
  }

  /** Returns an application, or what one of its versions left; undefined if it does not exist. */
  async app(name: string, version?: number): Promise<AppEntity | undefined> {
    const path = appPath(name) + (version === undefined ? "" : `?version=${version}`);
    return await this.#get<AppEntity>(path, (refusal) => {
      return isMissing(refusal) && (version === undefined || refusal.message === "application does not exist");
    });
  }

  /** Starts a roll-out. Throws if a unit was changed since the plan, or the server does not support it. */
  async startRollout(app: string, changes: AppRequest): Promise<RolloutEntity> {
    return await this.#post(appPath(app), changes);
  }

  /** Returns the latest roll-out of an application; undefined if there is none. */
  rollout(app: string): Promise<RolloutEntity | undefined> {
    return this.#get<RolloutEntity>(appPath(app, "/rollout"), isMissing);
  }

  /** Pauses, resumes, aborts or undoes the roll-out of an application. Throws if its state does not allow that. */
  async controlRollout(app: string, request: RolloutRequest): Promise<RolloutEntity> {
    return await this.#post(appPath(app, "/rollout"), request);
  }

  async #post<T>(path: string, body: unknown): Promise<T> {
    const answer = await this.#ask(path, { method: "POST", body: JSON.stringify(body) }, isUnknownRoute);
    if (!answer) throw new Error(`${this.endpoint} runs a fleet without applications: upgrade it`);
    return await this.#json<T>(answer);
  }

  /** Returns every unit and all dynamic metadata, at one revision. Throws if the server does not support it. */
  backup(): Promise<BackupEntity> {
    return this.#required("/fleet/v1/backup", "cannot make backups");
  }

  /** Returns what machines use and, if wanted, units. Throws if the server does not support it. */
  usage(withUnits: boolean): Promise<UsageEntity> {
    return this.#required(`/fleet/v1/usage?units=${withUnits}`, "does not measure what units use");
  }

  async #required<T>(path: string, lack: string): Promise<T> {
    const entity = await this.#get<T>(path, isUnknownRoute);
    if (entity === undefined) throw new Error(`${this.endpoint} runs a fleet that ${lack}: upgrade it`);
    return entity;
  }

  /** Uploads the content of an attached file, in base64. Returns false if the server does not support it. */
  putContent(hash: string, content: string): Promise<boolean> {
    return this.#change(
      `/fleet/v1/contents/${hash}`,
      { method: "PUT", body: JSON.stringify({ content }) },
      isUnknownRoute,
    );
  }

  /** Returns the content of an attached file; undefined if the cluster does not have it. */
  content(hash: string): Promise<ContentEntity | undefined> {
    return this.#get<ContentEntity>(`/fleet/v1/contents/${hash}`, ({ code }) => code === 404);
  }

  /** Returns the journal or status of a unit from its machine, or from that of the query's `machineID`. The text may be endless. */
  async unitReport(
    name: string,
    kind: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>> {
    const path = `/fleet/v1/units/${encodeURIComponent(name)}/${kind}?${new URLSearchParams(query)}`;
    const answer = await this.send(path, { method: "GET", streaming: true });
    if (answer.ok && answer.body) {
      const isSelected = answer.headers.get(selectedHeader) !== null;
      if (isSelected || !["since", "until", "grep"].some((name) => name in query)) return { text: answer.body };
      await answer.body.cancel();
      return {
        why: `${this.endpoint}, or the machine of ${name}, runs a fleet that cannot select entries of a journal`,
      };
    }
    const refusal = await readError(answer);
    // 400: an output format that only journalctl supports. 429: too many requests. 502: the server cannot reach the machine.
    if (!isUnknownRoute(refusal) && ![400, 429, 502].includes(refusal.code)) throw refusal.error;
    return {
      why: refusal.message === "" ? "" : `${this.endpoint} cannot provide the ${kind}: ${refusal.error.message}`,
    };
  }

  /** Writes dynamic metadata of a machine. A key without a value is removed. */
  async label(machine: string, labels: readonly { readonly key: string; readonly value?: string }[]): Promise<void> {
    const operations = labels.map(({ key, value }) => {
      const path = `/${machine}/metadata/${key}`;
      // fleet 1.0 accepts a value only inside an object.
      return value === undefined ? { op: "remove", path } : { op: "add", path, value: { value } };
    });
    await this.#change("/fleet/v1/machines", { method: "PATCH", body: JSON.stringify(operations) });
  }

  /** Returns the health of the server. */
  async health(): Promise<Health> {
    const answer = await this.send("/readyz", { method: "GET" });
    const body = await answer.text();
    const [, version, comment] = /^fleetd\/(\S+)( \(user\))?/.exec(answer.headers.get("server") ?? "") ?? [];
    const wall_ms = Date.parse(answer.headers.get("date") ?? "");
    // fleet 1.0 does not have this path.
    const isSupported = answer.ok || ![404, 405].includes(answer.status);
    const reason = (parseErrorEntity(body)?.message ?? body).trim();
    return {
      ...(isSupported ? { ready: answer.ok } : {}),
      reason: reason === "" ? `the server responded with HTTP ${answer.status} without a reason` : reason,
      ...(version === undefined ? {} : { version }),
      ...(comment === undefined ? {} : { isUser: true }),
      ...(Number.isNaN(wall_ms) ? {} : { wall_ms }),
    };
  }

  /** Makes the daemon accept a replaced store; with `keepUnits`, it puts its units there. Throws if it refuses. */
  async acceptStore(keepUnits: boolean): Promise<AcceptedStoreEntity> {
    const path = `/fleet/v1/store/accept${keepUnits ? "/keep-units" : ""}`;
    const answer = await this.#ask(path, { method: "POST" }, ({ code }) => keepUnits && code === 404);
    if (!answer) throw new Error(`${this.endpoint} runs a fleet that cannot keep units: upgrade it`);
    return await this.#json(answer);
  }

  /** Returns the machines that the engine waits for after a mass loss; undefined if the server does not support it. */
  loss(): Promise<LossEntity | undefined> {
    return this.#get<LossEntity>("/fleet/v1/loss", isUnknownRoute);
  }

  /** Ends the wait for machines that were lost at once. Throws if there is none. */
  async acceptLoss(): Promise<void> {
    await this.#change("/fleet/v1/loss", { method: "DELETE" });
  }

  /**
   * Follows the named units, or all if no name is given: first their current state, then each change, until `signal` aborts
   * or the server ends the stream. Returns undefined if the server has no event stream, or too many followers.
   */
  async events(units: readonly string[], signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined> {
    try {
      return await this.follow(units.map((name) => "unit=" + encodeURIComponent(name)).join("&"), signal);
    } catch (error) {
      // The server has too many followers, but can still be polled.
      if (error instanceof ApiError && error.code === 429) return undefined;
      throw error;
    }
  }

  /** Follows the event stream with any query. Returns undefined if the server has no event stream. */
  async follow(query: string, signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined> {
    const path = "/fleet/v1/events" + (query ? "?" + query : "");
    const answer = await this.#ask(
      path,
      { method: "GET", streaming: true, signal },
      ({ code }) => [404, 405, 501].includes(code),
    );
    if (answer?.body && (answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      return serverEvents(answer.body, signal);
    }
    await answer?.body?.cancel();
    return undefined;
  }

  /** Returns the response to a request; undefined if it is refused by an error that `isNone` accepts. Throws other errors. */
  async #ask(
    path: string,
    request: ApiRequest,
    isNone: (refusal: ErrorResponse) => boolean = () => false,
  ): Promise<Response | undefined> {
    const answer = await this.send(path, request);
    if (answer.ok) return answer;
    const refusal = await readError(answer);
    if (isNone(refusal)) return undefined;
    throw refusal.error;
  }

  /** Requests a change. Returns false if it is refused by an error that `isNone` accepts. */
  async #change(path: string, request: ApiRequest, isNone?: (refusal: ErrorResponse) => boolean): Promise<boolean> {
    const answer = await this.#ask(path, request, isNone);
    await answer?.body?.cancel();
    return answer !== undefined;
  }

  async #get<T>(path: string, isNone?: (refusal: ErrorResponse) => boolean): Promise<T | undefined> {
    const answer = await this.#ask(path, { method: "GET" }, isNone);
    return answer && await this.#json<T>(answer);
  }

  async #pages<Item>(
    path: string,
    query: Readonly<Record<string, string>>,
    itemsOf: (page: Page) => readonly Item[] | undefined,
    isNone?: (refusal: ErrorResponse) => boolean,
  ): Promise<Item[]> {
    const items: Item[] = [];
    let token: string | undefined;
    for (let pages = 0; pages < maxPages; pages++) {
      const parameters = new URLSearchParams({ alt: "json", ...query, ...(token ? { nextPageToken: token } : {}) });
      const page = await this.#get<Page>(`${path}?${parameters}`, isNone);
      items.push(...page && itemsOf(page) || []);
      token = page?.nextPageToken;
      if (!token) return items;
    }
    throw new Error(`the fleet API at ${this.endpoint} sent more than ${maxPages} pages of ${path}`);
  }

  async #json<T>(answer: Response): Promise<T> {
    const text = await answer.text();
    let cause: unknown;
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null) return value as T;
    } catch (error) {
      cause = error;
    }
    const message = `the server at ${this.endpoint} is not the fleet API: ${JSON.stringify(text.slice(0, 80))}`;
    throw new Error(message, { cause });
  }
}

/** A page of any list. */
type Page = UnitPage & UnitStatePage & MachinePage & AppPage;

function appPath(name: string, below = ""): string {
  return `/fleet/v1/apps/${encodeURIComponent(name)}${below}`;
}

function unitPath(name: string, below = ""): string {
  return `/fleet/v1/units/${encodeURIComponent(name)}${below}?alt=json`;
}
