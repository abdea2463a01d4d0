/**
 * API v1 as commands see it, over any way to send a request.
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

/** The cluster, as a client may ask for it. Methods throw {@link ApiError} and {@link UnreachableError}. */
export interface ApiClient {
  /** Where it is, for messages. */
  readonly endpoint: string;
  /** One unit; undefined if there is none of that name. */
  unit(name: string): Promise<UnitEntity | undefined>;
  /** Every unit, in the server's order. */
  units(): Promise<readonly UnitEntity[]>;
  /** Every unit state, or those of one unit, in the server's order. */
  states(unit?: string): Promise<readonly UnitStateEntity[]>;
  /** Every machine, in the server's order. */
  machines(): Promise<readonly MachineEntity[]>;
  /** Creates, replaces or updates a unit. */
  putUnit(unit: UnitEntity): Promise<void>;
  /** Removes a unit; false if there was none. */
  deleteUnit(name: string): Promise<boolean>;
  /** Asks for a restart; false if the server knows no such request. */
  restartUnit(name: string): Promise<boolean>;
  /** Asks for a start of a launched unit where it does not run; false if the server knows no such request. */
  startUnit(name: string): Promise<boolean>;
  /** Asks for a stop of a loaded unit that something else has started; false if the server knows no such request. */
  stopUnit(name: string): Promise<boolean>;
  /** Why a unit is where it is, or is not; undefined if the server cannot explain. Throws if there is no such unit. */
  explain(name: string): Promise<ExplanationEntity | undefined>;
  /**
   * Follows what happens to the named units (all units, if there are none): the present first, then each change, until
   * `signal` aborts or the server ends it. Undefined if the server cannot be followed.
   */
  events(units: readonly string[], signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined>;
  /** The same with any query of the event stream. */
  follow(query: string, signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined>;
  /** What the machine that has a unit says of it, as text that may come for ever. `machineID` asks a certain machine. */
  unitReport(
    name: string,
    what: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>>;
  /** Writes dynamic metadata of a machine; a key without a value is removed. */
  label(machine: string, labels: readonly { readonly key: string; readonly value?: string }[]): Promise<void>;
  /** What the server says of itself. */
  health(): Promise<Health>;
  /** Takes the store that is there in place of the one that the daemon knew; throws if there is no need, saying so. */
  acceptStore(): Promise<AcceptedStoreEntity>;
  /** The certificates of the endpoints, as far as they show any. */
  certificates(): Promise<readonly ServerCertificate[]>;
  /** Lets go of connections; nothing may be asked afterwards. */
  close(): void;
}

/** Text of a machine, or why this server cannot tell it: "" if it knows no such request, as fleet 1.0. */
export type UnitReport<Text> = { readonly text: Text; readonly why?: undefined } | {
  readonly text?: undefined;
  readonly why: string;
};

/** What a server says of itself. */
export interface Health {
  /** True if it can answer for the cluster; undefined if it does not tell. */
  readonly ready?: boolean;
  /** `ok`, or why it is not ready; never empty. */
  readonly reason: string;
  /** True if it runs units on the systemd of the user that it runs as. */
  readonly isUser?: boolean;
  /** Its version; undefined if it does not tell. */
  readonly version?: string;
  /** Its clock when it answered, milliseconds since the epoch; undefined if it does not tell. */
  readonly wall_ms?: number;
}

/** Sends a request to the API. `path` starts behind the endpoint. Rejects with {@link UnreachableError}. */
export type Send = (path: string, request: ApiRequest) => Promise<Response>;

/** A request as {@link Send} takes it. */
export interface ApiRequest {
  readonly method: string;
  readonly body?: string;
  /** True: only the answer's head must come in time, its body may take for ever. */
  readonly streaming?: boolean;
  readonly signal?: AbortSignal;
}

/** The API could not be reached, or did not answer in time. The message names the endpoint. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
}

/** The API refused. */
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

/** What somebody can do who is not let in, behind why they are not. */
function remedyFor(code: number, message: string): string {
  if (code === 401) {
    return ". Show a token with --token-file or FLEETCTL_TOKEN, or a certificate with --cert-file and --key-file";
  }
  return code === 403 && /may read only/.test(message) ? ". Use a token or a certificate that may write" : "";
}

/** Pages of one list that are followed before the server is taken to be in a loop. */
const maxPages = 100_000;

/** An {@link ApiClient} that sends its requests through `send`; `endpoint` is a function where it can change. */
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
    const failure = await readFailure(answer);
    if (failure.code === 404 && failure.fromApi) return undefined;
    throw failure.error;
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
    if (!answer.ok) throw (await readFailure(answer)).error;
    await answer.body?.cancel();
  }

  async deleteUnit(name: string): Promise<boolean> {
    const answer = await this.send(unitPath(name), { method: "DELETE" });
    if (!answer.ok) {
      const failure = await readFailure(answer);
      if (failure.code === 404 && failure.fromApi) return false;
      throw failure.error;
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
      const failure = await readFailure(answer);
      if (isUnknownRoute(failure)) return false;
      throw failure.error;
    }
    await answer.body?.cancel();
    return true;
  }

  async explain(name: string): Promise<ExplanationEntity | undefined> {
    const answer = await this.send(unitPath(name, "/explain"), { method: "GET" });
    if (answer.ok) return await this.#json<ExplanationEntity>(answer);
    const failure = await readFailure(answer);
    if (isUnknownRoute(failure)) return undefined;
    throw failure.error;
  }

  async unitReport(
    name: string,
    what: "journal" | "status",
    query: Readonly<Record<string, string>>,
  ): Promise<UnitReport<ReadableStream<Uint8Array>>> {
    const path = `/fleet/v1/units/${encodeURIComponent(name)}/${what}?${new URLSearchParams(query)}`;
    const answer = await this.send(path, { method: "GET", streaming: true });
    if (answer.ok && answer.body) return { text: answer.body };
    const failure = await readFailure(answer);
    // 400: a form of output that only journalctl itself knows. 501, 502: that machine is not to be reached from there.
    if (!isUnknownRoute(failure) && ![400, 429, 502].includes(failure.code)) throw failure.error;
    return { why: failure.message === "" ? "" : `${this.endpoint} cannot tell it: ${failure.error.message}` };
  }

  async label(
    machine: string,
    labels: readonly { readonly key: string; readonly value?: string }[],
  ): Promise<void> {
    const operations = labels.map(({ key, value }) => {
      const path = `/${machine}/metadata/${key}`;
      // fleet 1.0 takes a value only inside an object.
      return value === undefined ? { op: "remove", path } : { op: "add", path, value: { value } };
    });
    const answer = await this.send("/fleet/v1/machines", { method: "PATCH", body: JSON.stringify(operations) });
    if (!answer.ok) throw (await readFailure(answer)).error;
    await answer.body?.cancel();
  }

  async health(): Promise<Health> {
    const answer = await this.send("/readyz", { method: "GET" });
    const body = await answer.text();
    const [, version, comment] = /^fleetd\/(\S+)( \(user\))?/.exec(answer.headers.get("server") ?? "") ?? [];
    const wall_ms = Date.parse(answer.headers.get("date") ?? "");
    // fleet 1.0 has no such page.
    const tells = answer.ok || ![404, 405].includes(answer.status);
    const reason = (parseErrorEntity(body)?.message ?? body).trim();
    return {
      ...(tells ? { ready: answer.ok } : {}),
      reason: reason === "" ? `the server answers HTTP ${answer.status} without a reason` : reason,
      ...(version === undefined ? {} : { version }),
      ...(comment === undefined ? {} : { isUser: true }),
      ...(Number.isNaN(wall_ms) ? {} : { wall_ms }),
    };
  }

  async acceptStore(): Promise<AcceptedStoreEntity> {
    const answer = await this.send("/fleet/v1/store/accept", { method: "POST" });
    if (answer.ok) return await this.#json<AcceptedStoreEntity>(answer);
    throw (await readFailure(answer)).error;
  }

  async events(units: readonly string[], signal: AbortSignal): Promise<AsyncIterable<ServerEvent> | undefined> {
    try {
      return await this.follow(units.map((name) => "unit=" + encodeURIComponent(name)).join("&"), signal);
    } catch (error) {
      // As many follow as the server can bear: it can still be asked again and again.
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
    throw (await readFailure(answer)).error;
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
      if (!answer.ok) throw (await readFailure(answer)).error;
      const page = await this.#json<Page>(answer);
      items.push(...itemsOf(page) ?? []);
      token = page.nextPageToken;
      if (!token) return items;
    }
    throw new Error(`the fleet API at ${this.endpoint} gave more than ${maxPages} pages of ${path}`);
  }

  async #json<T>(answer: Response): Promise<T> {
    const text = await answer.text();
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === "object" && value !== null) return value as T;
    } catch (cause) {
      throw new Error(`what answers at ${this.endpoint} is not the fleet API: ${JSON.stringify(text.slice(0, 80))}`, {
        cause,
      });
    }
    throw new Error(`what answers at ${this.endpoint} is not the fleet API: ${JSON.stringify(text.slice(0, 80))}`);
  }
}

function unitPath(name: string, below = ""): string {
  return `/fleet/v1/units/${encodeURIComponent(name)}${below}?alt=json`;
}

interface Failure {
  readonly code: number;
  readonly message: string;
  /** True if the body is the API's error entity, and not, say, a proxy's page. */
  readonly fromApi: boolean;
  readonly error: ApiError;
}

/** A server without a route says 404 like one without the unit, but with nothing to say about it. */
function isUnknownRoute({ code, message }: Failure): boolean {
  return code === 405 || code === 501 || (code === 404 && message === "");
}

async function readFailure(answer: Response): Promise<Failure> {
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
    // Not JSON, so not from the API; the whole body is shown instead.
    return undefined;
  }
  const error = (value as { error?: { message?: unknown } } | null)?.error;
  return typeof error?.message === "string" ? { message: error.message } : undefined;
}
