/**
 * The parts of which operations of the OpenAPI document are made.
 *
 * @module
 */

import { type Component, type JsonSchema, ref } from "./schema.ts";
import * as types from "./types.ts";

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query" | "header";
  readonly description: string;
  readonly schema: JsonSchema;
  readonly required?: boolean;
}

/** A body's media types, each with the schema of the body. */
export type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;

export interface Answer {
  readonly description: string;
  readonly content?: Content;
  readonly headers?: Readonly<Record<string, { readonly description: string; readonly schema: JsonSchema }>>;
}

/** The parts in which operations differ. */
export interface Parts {
  readonly parameters?: readonly Parameter[];
  readonly body?: Component;
  /** Successful responses by status code. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Error codes beyond {@link commonErrors}. */
  readonly errors?: readonly number[];
}

export const string: JsonSchema = { type: "string" };
export const strings: JsonSchema = { type: "array", items: string };
export const plain: Content = { "text/plain": { schema: string } };
export const json = (component: Component): Content => ({ "application/json": { schema: ref(component) } });
export const answer = (description: string, component: Component): Answer => ({
  description,
  content: json(component),
});

/** Errors of every operation. */
const commonErrors = [400, 401, 403, 500, 501, 503];

const errorDescriptions: Readonly<Record<number, string>> = {
  400: "The request is malformed or invalid; the message says why.",
  401: "Credentials are missing or unknown.",
  403: "The credentials do not suffice, or the address is closed; the message says why.",
  404: "The unit, its state, the content or the machine does not exist, or what is to be ended is not there.",
  409:
    "The state of the unit, the roll-out or the store does not allow this, or others keep changing it; the message says why.",
  413: "The request body is too long, or the change is larger than the store accepts; the message says which.",
  415: "The request body is not application/json.",
  421: "The request was forwarded to the wrong machine.",
  429: "Too many event streams, journals, statuses or figures are being read; the message says which.",
  500: "A failure; the message says why.",
  501: "The Transfer-Encoding is unknown, or the machine's API is closed to other machines; the message says which.",
  502: "The machine that runs the unit does not answer; the message says why.",
  503: "The daemon cannot answer for the cluster; the message says why.",
  507: "The store refuses writes because its space is used up; the message says what to do.",
};

/** Completes an operation by its summary and its error responses. */
export function operation(operationId: string, description: string, { parameters, body, answers, errors = [] }: Parts) {
  const codes = [...new Set([...errors, ...commonErrors])].sort((a, b) => a - b);
  const refusals = codes.map((code) => [code, answer(errorDescriptions[code] as string, types.ErrorEntity)]);
  const words = operationId.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return {
    operationId,
    summary: words.charAt(0).toUpperCase() + words.slice(1),
    description,
    ...(parameters && { parameters }),
    ...(body && { requestBody: { required: true, description: body.description, content: json(body) } }),
    responses: { ...answers, ...Object.fromEntries(refusals) } as Readonly<Record<string, Answer>>,
  };
}

export type Operation = ReturnType<typeof operation>;

export const query = (name: string, description: string, schema = string): Parameter => ({
  ...{ name, in: "query", description, schema },
});

export function page(id: string, description: string, entity: Component, ...filters: Parameter[]): Operation {
  const parameters = [...filters, query("nextPageToken", "The `nextPageToken` of the page before.")];
  return operation(id, description, { parameters, answers: { 200: answer("One page.", entity) } });
}

const unitName: Parameter = {
  ...{ name: "unitName", in: "path", required: true, schema: string },
  description: "A full unit name, such as `hello.service`.",
};

export function ofUnit(
  id: string,
  description: string,
  { parameters = [], errors = [404], ...parts }: Parts,
): Operation {
  return operation(id, description, { ...parts, parameters: [unitName, ...parameters], errors });
}

export function command(id: string, description: string): Operation {
  return ofUnit(id, description, {
    answers: { 204: { description: "The request is stored." } },
    errors: [404, 409, 507],
  });
}

export function document(id: string, description: string): Operation {
  const content: Content = { "application/json": { schema: { type: "object" } } };
  return operation(id, description, { answers: { 200: { description: "The document.", content } } });
}

export function probe(id: string, description: string): Operation {
  const answers = { 200: { description: "As described.", content: plain } };
  const { responses, ...rest } = operation(id, description, { answers });
  const failure = { description: "The reason why not.", content: { ...plain, ...json(types.ErrorEntity) } };
  return { ...rest, responses: { ...responses, 503: failure } };
}

/** Operations by method and path. */
export type Operations = Readonly<Record<string, Operation>>;
