/**
 * Refusals of the API. Pure.
 *
 * @module
 */

/** The API refused a request. */
export class ApiError extends Error {
  override name = "ApiError";
  /** The HTTP status. */
  readonly code: number;

  constructor(code: number, message: string, body: string) {
    super(
      `${message || describeBody(body)} (HTTP ${code})${remedyFor(code, message)}`,
    );
    this.code = code;
  }
}

/** True if the server will refuse the same request again. */
export function isRefusal(error: unknown): boolean {
  if (error instanceof ApiError) return error.code >= 400 && error.code < 500 && error.code !== 429;
  return error instanceof Error && error.cause !== undefined && isRefusal(error.cause);
}

/** Returns what a user without access can do, as the end of the message. */
function remedyFor(code: number, message: string): string {
  if (code === 401) {
    return ". Pass a token with --token-file or FLEETCTL_TOKEN, or a certificate with --cert-file and --key-file";
  }
  return code === 403 && /may read only/.test(message) ? ". Use a token or a certificate that may write" : "";
}

/** A response that refuses a request. */
export interface ErrorResponse {
  readonly code: number;
  readonly message: string;
  /** True if the body is the API's error entity, and not for example a proxy's page. */
  readonly fromApi: boolean;
  readonly error: ApiError;
}

/** True if the object of the request, such as a unit, does not exist. */
export function isMissing({ code, fromApi }: ErrorResponse): boolean {
  return code === 404 && fromApi;
}

/** True if the server does not have the route: its 404 says so or, in fleet 1.0, has no message. */
export function isUnknownRoute({ code, message }: ErrorResponse): boolean {
  return code === 405 || code === 501 || code === 404 && (message === "" || message.startsWith("no resource at this"));
}

/** Reads the body of a refusal. */
export async function readError(answer: Response): Promise<ErrorResponse> {
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

/** Describes an answer without an error message. Fleet 1.0 answers an unknown route with an empty body. */
function describeBody(body: string): string {
  const shown = JSON.stringify(body.slice(0, 200));
  if (body === "" || parseErrorEntity(body)) return `the server sent no error message but ${shown}`;
  return `not the fleet API has answered, but a proxy or, at a wrong --endpoint, another server: ${shown}`;
}

/** Returns the API's error entity; undefined if the text is none. */
export function parseErrorEntity(body: string): { readonly message: string } | undefined {
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
