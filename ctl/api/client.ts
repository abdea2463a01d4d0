/**
 * The client of API v1 that commands use, over any transport.
 *
 * @module
 */

import type {
  AcceptedStoreEntity,
  BackupEntity,
  ExplanationEntity,
  HistoryEntity,
  LossEntity,
  MachineEntity,
  MachinePage,
  PlanEntity,
  PlanRequest,
  UnitEntity,
  UnitPage,
  UnitStateEntity,
  UnitStatePage,
} from "../../daemon/api/v1/types.ts";
import type { ServerCertificate } from "./certificate_expiry.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";

/** Text from a machine, or the reason why this server cannot provide it: "" if, like fleet 1.0, it does not support the request. */
export type UnitReport<Text> = { readonly text: Text; readonly why?: undefined } | {
  readonly text?: undefined;
  readonly why: string;
};

/** The health of a server. */
export interface Health {
  /** True if it can serve the cluster; undefined if it does not report it. */
  readonly ready?: boolean;
  /** `ok`, or the reason why it is not ready; never empty. */
  readonly reason: string;
  /** True if it runs units on the systemd of its user. */
  readonly isUser?: boolean;
  /** Its version; undefined if it does not report it. */
  readonly version?: string;
  /** Time of its clock in the response, milliseconds since the epoch; undefined if it does not report it. */
  readonly wall_ms?: number;
}

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

/** The API refused a request. */
export class ApiError extends Error {
  override name = "ApiError";
  /** The HTTP status. */
  readonly code: number;

  constructor(code: number, message: string, body: string) {
    super(
      `${message || `the server sent no error message but ${JSON.stringify(body)}`} (HTTP ${code})${
        remedyFor(code, message)
      }`,
    );
    this.code = code;
  }
}

/** Returns what a user without access can do, as the end of the message. */
function remedyFor(code: number, message: string): string {
  if (code === 401) {
    return ". Pass a token with --token-file or FLEETCTL_TOKEN, or a certificate with --cert-file and --key-file";
  }
  return code === 403 && /may read only/.test(message) ? ". Use a token or a certificate that may write" : "";
}

/** Largest number of pages of one list: a server that sends more is in a loop. */
const maxPages = 100_000;

/** The API of the cluster. Methods throw {@link ApiError} and {@link UnreachableError}. */
export class ApiClient {
  readonly #endpoint: () => string;
  readonly #send: Send;

  /**
   * Sends its requests through `send`. `endpoint` is a function if it can change. `close` closes the connections, and
   * `certificates` returns the certificates of the endpoints that use TLS.
   */
  constructor(
    endpoint: string | (() => string),
    send: Send,
    readonly close: () => void,
    readonly certificates: () => Promise<readonly ServerCertificate[]> = () => Promise.resolve([]),
  ) {
    this.#endpoint = typeof endpoint === "string" ? () => endpoint : endpoint;
    this.#send = send;
  }

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

  /** Returns why a unit is on its machine, or on none; undefined if the server does not support it. Throws if the unit does not exist. */
  explain(name: string): Promise<ExplanationEntity | undefined> {
    return this.#get<ExplanationEntity>(unitPath(name, "/explain"), isUnknownRoute);
  }

  /**
   * Returns the versions of a unit, newest first, or the one with this number and the options of its file. Throws if there
   * is none, or if the server does not support it.
   */
  async history(name: string, version?: number): Promise<HistoryEntity> {
    const path = unitPath(name, "/history") + (version === undefined ? "" : `&version=${version}`);
    const history = await this.#get<HistoryEntity>(path, isUnknownRoute);
    if (history) return history;
    throw new Error(`${this.endpoint} runs a fleet that keeps no history of units`);
  }

  /** Returns what would happen because of changes. Throws if the server does not support it. */
  async plan(changes: PlanRequest): Promise<PlanEntity> {
    const request = { method: "POST", body: JSON.stringify(changes) } as const;
    const answer = await this.#ask("/fleet/v1/plan", request, isUnknownRoute);
    if (!answer) throw new Error(`${this.endpoint} runs a fleet that cannot make plans`);
    return await this.#json<PlanEntity>(answer);
  }

  /** Returns every unit and all dynamic metadata, at one revision. Throws if the server does not support it. */
  async backup(): Promise<BackupEntity> {
    const backup = await this.#get<BackupEntity>("/fleet/v1/backup", ({ code }) => code === 404 || code === 405);
    if (!backup) throw new Error(`${this.endpoint} runs a fleet that cannot make backups: upgrade it`);
    return backup;
  }

  /** Returns the journal or status of a unit from its machine, or from that of the query's `machineID`. The text may be endless. */
  async unitReport(
    name: string,
    kind: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>> {
    const path = `/fleet/v1/units/${encodeURIComponent(name)}/${kind}?${new URLSearchParams(query)}`;
    const answer = await this.#send(path, { method: "GET", streaming: true });
    if (answer.ok && answer.body) return { text: answer.body };
    const refusal = await readError(answer);
    // 400: an output format that only journalctl supports. 429: too many requests. 502: the server cannot reach the machine.
    if (!isUnknownRoute(refusal) && ![400, 429, 502].includes(refusal.code)) throw refusal.error;
    return {
      why: refusal.message === "" ? "" : `${this.endpoint} cannot provide the ${kind}: ${refusal.error.message}`,
    };
  }

  /** Writes dynamic metadata of a machine. A key without a value is removed. */
  async label(
    machine: string,
    labels: readonly { readonly key: string; readonly value?: string }[],
  ): Promise<void> {
    const operations = labels.map(({ key, value }) => {
      const path = `/${machine}/metadata/${key}`;
      // fleet 1.0 accepts a value only inside an object.
      return value === undefined ? { op: "remove", path } : { op: "add", path, value: { value } };
    });
    await this.#change("/fleet/v1/machines", { method: "PATCH", body: JSON.stringify(operations) });
  }

  /** Returns the health of the server. */
  async health(): Promise<Health> {
    const answer = await this.#send("/readyz", { method: "GET" });
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

  /**
   * Makes the daemon accept a replaced store; with `keepUnits`, it puts its units there. Throws if the store is not in
   * question, or the server does not support this.
   */
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
    const answer = await this.#send(path, request);
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
    itemsOf: (page: UnitPage & UnitStatePage & MachinePage) => readonly Item[] | undefined,
  ): Promise<Item[]> {
    const items: Item[] = [];
    let token: string | undefined;
    for (let pages = 0; pages < maxPages; pages++) {
      const parameters = new URLSearchParams({ alt: "json", ...query, ...(token ? { nextPageToken: token } : {}) });
      const page = await this.#get<UnitPage & UnitStatePage & MachinePage>(`${path}?${parameters}`);
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

function unitPath(name: string, below = ""): string {
  return `/fleet/v1/units/${encodeURIComponent(name)}${below}?alt=json`;
}

interface ErrorResponse {
  readonly code: number;
  readonly message: string;
  /** True if the body is the API's error entity, and not for example a proxy's page. */
  readonly fromApi: boolean;
  readonly error: ApiError;
}

/** True if the unit does not exist. */
function isMissing({ code, fromApi }: ErrorResponse): boolean {
  return code === 404 && fromApi;
}

/** True if the server does not have the route: its 404 has no message, unlike that of a missing unit. */
function isUnknownRoute({ code, message }: ErrorResponse): boolean {
  return code === 405 || code === 501 || (code === 404 && message === "");
}

async function readError(answer: Response): Promise<ErrorResponse> {
  const body = await answer.text();
  const entity = parseErrorEntity(body);
  const message = entity?.message ?? "";
  return {
    code: answer.status,
    message,
    fromApi: entity !== undefined,
    error: new ApiError(answer.status, message, body),
  };
}

function parseErrorEntity(body: string): { readonly message: string } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    // Not from the API, since it is not JSON: the whole body is shown instead.
    return undefined;
  }
  const error = (value as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? { message: error.message } : undefined;
}
