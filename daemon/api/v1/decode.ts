/**
 * What bodies look like: JSON Schema (draft 2020-12, the dialect of OpenAPI 3.1), as far as the API needs it. The same
 * schema reads requests and describes them.
 *
 * @module
 */

/** A schema of one value. */
export type Schema =
  & { readonly description?: string }
  & (
    | {
      readonly type: "string";
      readonly enum?: readonly string[];
      readonly pattern?: string;
      readonly maxLength?: number;
      readonly format?: string;
    }
    | { readonly type: "integer"; readonly minimum?: number; readonly enum?: readonly number[] }
    | { readonly type: "boolean" }
    | ArraySchema
    | ObjectSchema
    | { readonly oneOf: readonly Schema[] }
    | { readonly $ref: string }
  );

/** A list. */
export interface ArraySchema {
  readonly type: "array";
  readonly items: Schema;
  readonly maxItems?: number;
}

/** An object: of known properties, or of any if `additionalProperties` says what they are. */
export interface ObjectSchema {
  readonly type: "object";
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Schema | false;
}

/** A value that was read, or why it could not be. */
export type Decoded = { readonly value: unknown } | { readonly refusal: string };

/**
 * Reads a JSON value the lenient way that clients of the original rely on: names of fields match whatever their case, of
 * two that differ in case only the last counts, unknown ones are ignored, and `null` is as good as nothing, but in a list:
 * "" for a text, an empty list, an object without fields. `enum`, `pattern` and `maxLength` are left to whoever knows what to
 * say about them. `what` is how a refusal calls the value. Objects are given as they are described.
 */
export function decode(schema: Schema, value: unknown, what: string): Decoded {
  if ("oneOf" in schema) return decodeOneOf(schema.oneOf, value, what);
  if ("$ref" in schema) throw new Error(`a schema that is read must be written out: ${schema.$ref}`);
  switch (schema.type) {
    case "string":
      if (typeof (value ?? "") !== "string") return { refusal: `expected ${what} to be ${kinds.string}` };
      return { value: (value as string | null ?? "").toWellFormed() };
    case "integer":
      return Number.isSafeInteger(value) ? { value } : { refusal: `expected ${what} to be ${kinds.integer}` };
    case "boolean":
      return typeof value === "boolean" ? { value } : { refusal: `expected ${what} to be ${kinds.boolean}` };
    case "array":
      return decodeArray(schema, value ?? [], what);
    case "object":
      return decodeObject(schema, value ?? {}, what);
  }
}

const kinds = {
  string: "a string",
  integer: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
} as const;

function decodeArray({ items, maxItems = Infinity }: ArraySchema, value: unknown, what: string): Decoded {
  if (!Array.isArray(value)) return { refusal: `expected ${what} to be ${kinds.array}` };
  if (value.length > maxItems) return { refusal: `expected ${what} to have at most ${maxItems} items` };
  const read: unknown[] = [];
  for (const [index, item] of value.entries()) {
    const called = `${what}[${index}]`;
    if (item === null) {
      return { refusal: `expected ${called} to be ${"type" in items ? kinds[items.type] : "something"}` };
    }
    const decoded = decode(items, item, called);
    if ("refusal" in decoded) return decoded;
    read.push(decoded.value);
  }
  return { value: read };
}

function decodeObject({ properties = {} }: ObjectSchema, value: unknown, what: string): Decoded {
  if (typeof value !== "object" || Array.isArray(value)) return { refusal: `expected ${what} to be ${kinds.object}` };
  const given = new Map(Object.entries(value as object).map(([name, field]) => [name.toLowerCase(), field]));
  const read: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const decoded = decode(schema, given.get(name.toLowerCase()), what === "body" ? name : `${what}.${name}`);
    if ("refusal" in decoded) return decoded;
    read[name] = decoded.value;
  }
  return { value: read };
}

function decodeOneOf(schemas: readonly Schema[], value: unknown, what: string): Decoded {
  const refusals: string[] = [];
  for (const schema of schemas) {
    const decoded = decode(schema, value, what);
    if ("value" in decoded) return decoded;
    refusals.push(decoded.refusal);
  }
  // What is wrong within a value of the right kind says more than that it is none of another kind.
  const within = refusals.find((refusal) => !refusal.startsWith(`expected ${what} to be `));
  const kinds = refusals.map((refusal) => refusal.replace(`expected ${what} to be `, ""));
  return { refusal: within ?? `expected ${what} to be ${kinds.join(" or ")}` };
}
