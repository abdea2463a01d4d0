/**
 * The client of API v1 that commands use, over any transport.
 *
 * @module
 */

import type {
  AcceptedStoreEntity,
  ExplanationEntity,
  MachineEntity,
  MachinePage,
  UnitEntity,
  UnitPage,
  UnitStateEntity,
  UnitStatePage,
} from "../../daemon/api/v1/types.ts";
import type { ServerCertificate } from "./certificate_expiry.ts";
import { type ServerEvent, serverEvents } from "./sse.ts";

/** The API of the cluster. Methods throw {@link ApiError} and {@link UnreachableError}. */
export interface ApiClient {
  /** The endpoint, for messages. */
  readonly endpoint: string;
  /** Returns one unit; undefined if it does not exist. */
  unit(name: string): Promise<UnitEntity | undefined>;
  /** Returns every unit, in the server's order. */
  units(): Promise<readonly UnitEntity[]>;
  /** Returns every unit state, or those of one unit, in the server's order. */
  states(unit?: string): Promise<readonly UnitStateEntity[]>;
  /** Returns every machine, in the server's order. */
  machines(): Promise<readonly MachineEntity[]>;
  /** Creates, replaces or updates a unit. */
  putUnit(unit: UnitEntity): Promise<void>;
  /** Removes a unit. Returns false if it does not exist. */
  deleteUnit(name: string): Promise<boolean>;
  /** Requests a restart. Returns false if the server does not support the request. */
  restartUnit(name: string): Promise<boolean>;
  /** Requests the start of a launched unit on machines where it does not run. Returns false if the server does not support it. */
  startUnit(name: string): Promise<boolean>;
  /** Requests the stop of a loaded unit that something else has started. Returns false if the server does not support it. */
  stopUnit(name: string): Promise<boolean>;
  /** Returns why a unit is on its machine, or on none; undefined if the server does not support it. Throws if the unit does not exist. */
  explain(name: string): Promise<ExplanationEntity | undefined>;
  /**
   * Follows the named units, or all if no name is given: first their current state, then each change, until `signal` aborts
   * or the server ends the stream. Returns undefined if the server has no event stream, or too many followers.
   */
  events(units: readonly string[], signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined>;
  /** Follows the event stream with any query. Returns undefined if the server has no event stream. */
  follow(query: string, signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined>;
  /** Returns the journal or status of a unit from its machine, or from that of the query's `machineID`. The text may be endless. */
  unitReport(
    name: string,
    kind: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>>;
  /** Writes dynamic metadata of a machine. A key without a value is removed. */
  label(machine: string, labels: readonly { readonly key: string; readonly value?: string }[]): Promise<void>;
  /** Returns the health of the server. */
  health(): Promise<Health>;
  /** Makes the daemon accept a replaced store. Throws if the store is not in question. */
  acceptStore(): Promise<AcceptedStoreEntity>;
  /** Returns the certificates of the endpoints that use TLS. */
  certificates(): Promise<readonly ServerCertificate[]>;
  /** Closes the connections. No request may follow. */
  close(): void;
}

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

/** Creates an {@link ApiClient} that sends its requests through `send`. `endpoint` is a function if it can change. */
export function createApiClient(
  endpoint: string | (() => string),
  send: Send,
  close: () => void,
  certificates: ApiClient["certificates"] = () => Promise.resolve([]),
): ApiClient {
  return new HttpApiClient(typeof endpoint === "string" ? () => endpoint : endpoint, send, close, certificates);
}

class HttpApiClient implements ApiClient {
  constructor(
    readonly endpointInUse: () => string,
    readonly send: Send,
    readonly close: () => void,
    readonly certificates: ApiClient["certificates"],
  ) {}

  get endpoint(): string {
    return this.endpointInUse();
  }

  async unit(name: string): Promise<UnitEntity | undefined> {
    const answer = await this.send(unitPath(name), { method: "GET" });
    if (answer.ok) return await this.#json<UnitEntity>(answer);
    const refusal = await readError(answer);
    if (refusal.code === 404 && refusal.fromApi) return undefined;
    throw refusal.error;
  }

  units(): Promise<UnitEntity[]> {
    return this.#pages<UnitPage, UnitEntity>("/fleet/v1/units", {}, (page) => page.units);
  }

  states(unit?: string): Promise<UnitStateEntity[]> {
    const query: Record<string, string> = unit === undefined ? {} : { unitName: unit };
    return this.#pages<UnitStatePage, UnitStateEntity>("/fleet/v1/state", query, (page) => page.states);
  }

  machines(): Promise<MachineEntity[]> {
    return this.#pages<MachinePage, MachineEntity>("/fleet/v1/machines", {}, (page) => page.machines);
  }

  async putUnit(unit: UnitEntity): Promise<void> {
    const answer = await this.send(unitPath(unit.name), { method: "PUT", body: JSON.stringify(unit) });
    if (!answer.ok) throw (await readError(answer)).error;
    await answer.body?.cancel();
  }

  async deleteUnit(name: string): Promise<boolean> {
    const answer = await this.send(unitPath(name), { method: "DELETE" });
    if (!answer.ok) {
      const refusal = await readError(answer);
      if (refusal.code === 404 && refusal.fromApi) return false;
      throw refusal.error;
    }
    await answer.body?.cancel();
    return true;
  }

  restartUnit(name: string): Promise<boolean> {
    return this.#request(name, "/restart");
  }

  startUnit(name: string): Promise<boolean> {
    return this.#request(name, "/start");
  }

  stopUnit(name: string): Promise<boolean> {
    return this.#request(name, "/stop");
  }

  async #request(name: string, below: string): Promise<boolean> {
    const answer = await this.send(unitPath(name, below), { method: "POST" });
    if (!answer.ok) {
      const refusal = await readError(answer);
      if (isUnknownRoute(refusal)) return false;
      throw refusal.error;
    }
    await answer.body?.cancel();
    return true;
  }

  async explain(name: string): Promise<ExplanationEntity | undefined> {
    const answer = await this.send(unitPath(name, "/explain"), { method: "GET" });
    if (answer.ok) return await this.#json<ExplanationEntity>(answer);
    const refusal = await readError(answer);
    if (isUnknownRoute(refusal)) return undefined;
    throw refusal.error;
  }

  async unitReport(
    name: string,
    kind: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>> {
    const path = `/fleet/v1/units/${encodeURIComponent(name)}/${kind}?${new URLSearchParams(query)}`;
    const answer = await this.send(path, { method: "GET", streaming: true });
    if (answer.ok && answer.body) return { text: answer.body };
    const refusal = await readError(answer);
    // 400: an output format that only journalctl supports. 429: too many requests. 502: the server cannot reach the machine.
    if (!isUnknownRoute(refusal) && ![400, 429, 502].includes(refusal.code)) throw refusal.error;
    return {
      why: refusal.message === "" ? "" : `${this.endpoint} cannot provide the ${kind}: ${refusal.error.message}`,
    };
  }

  async label(
    machine: string,
    labels: readonly { readonly key: string; readonly value?: string }[],
  ): Promise<void> {
    const operations = labels.map(({ key, value }) => {
      const path = `/${machine}/metadata/${key}`;
      // fleet 1.0 accepts a value only inside an object.
      return value === undefined ? { op: "remove", path } : { op: "add", path, value: { value } };
    });
    const answer = await this.send("/fleet/v1/machines", { method: "PATCH", body: JSON.stringify(operations) });
    if (!answer.ok) throw (await readError(answer)).error;
    await answer.body?.cancel();
  }

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

  async acceptStore(): Promise<AcceptedStoreEntity> {
    const answer = await this.send("/fleet/v1/store/accept", { method: "POST" });
    if (answer.ok) return await this.#json<AcceptedStoreEntity>(answer);
    throw (await readError(answer)).error;
  }

  async events(units: readonly string[], signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined> {
    try {
      return await this.follow(units.map((name) => "unit=" + encodeURIComponent(name)).join("&"), signal);
    } catch (error) {
      // The server has too many followers, but can still be polled.
      if (error instanceof ApiError && error.code === 429) return undefined;
      throw error;
    }
  }

  async follow(query: string, signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined> {
    const path = "/fleet/v1/events" + (query ? "?" + query : "");
    const answer = await this.send(path, { method: "GET", streaming: true, signal });
    if (answer.ok && answer.body && (answer.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      return serverEvents(answer.body, signal);
    }
    if (answer.ok || [404, 405, 501].includes(answer.status)) {
      await answer.body?.cancel();
      return undefined;
    }
    throw (await readError(answer)).error;
  }

  async #pages<Page extends { readonly nextPageToken?: string }, Item>(
    path: string,
    query: Readonly<Record<string, string>>,
    itemsOf: (page: Page) => readonly Item[] | undefined,
  ): Promise<Item[]> {
    const items: Item[] = [];
    let token: string | undefined;
    for (let pages = 0; pages < maxPages; pages++) {
      const parameters = new URLSearchParams({ alt: "json", ...query, ...(token ? { nextPageToken: token } : {}) });
      const answer = await this.send(`${path}?${parameters}`, { method: "GET" });
      if (!answer.ok) throw (await readError(answer)).error;
      const page = await this.#json<Page>(answer);
      items.push(...itemsOf(page) ?? []);
      token = page.nextPageToken;
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
