/**
 * Typed JSON Schema. The API declares each of its values once, as a schema: TypeScript infers the value's type,
 * requests are decoded by it, and the OpenAPI document contains it. JSON Schema (draft 2020-12, the dialect of OpenAPI
 * 3.1), as far as the API needs it. Pure.
 *
 * @module
 */

/** The keywords of JSON Schema that the API uses. */
export interface JsonSchema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: "string" | "integer" | "boolean" | "array" | "object";
  readonly enum?: readonly string[];
  readonly pattern?: string;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly items?: JsonSchema;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | false;
  readonly oneOf?: readonly JsonSchema[];
  readonly $ref?: string;
}

/** Exists for the compiler only. */
declare const inferred: unique symbol;

/** A schema of values of type `T`. */
export type Schema<T = unknown> = JsonSchema & { readonly [inferred]?: T };

/** The type of the values that a schema describes. */
export type TypeOf<S> = S extends { readonly [inferred]?: infer T } ? T : never;

/** A schema that other schemas refer to by its title. */
export type Component<T = unknown> = Schema<T> & { readonly title: string };

/** Fields of an object by name; a name that ends in `?` is an optional field. */
type Fields = Readonly<Record<string, Schema>>;

type ObjectOf<F extends Fields> =
  & { readonly [K in keyof F as K extends `${string}?` ? never : K]: TypeOf<F[K]> }
  & { readonly [K in keyof F as K extends `${infer Name}?` ? Name : never]?: TypeOf<F[K]> };

/** A string. An enumeration is inferred as `string`: another version of fleet may use further values. */
export function text(
  description: string,
  rules: Pick<JsonSchema, "enum" | "pattern" | "maxLength"> = {},
): Schema<string> {
  return { type: "string", description, ...rules };
}

/** A whole number, not negative. */
export function count(description: string, minimum = 0): Schema<number> {
  return { type: "integer", minimum, description };
}

/** `true`; the field is absent otherwise. */
export function flag(description: string): Schema<true> {
  return { type: "boolean", description };
}

/** `true` or `false`. */
export function boolean(description: string): Schema<boolean> {
  return { type: "boolean", description };
}

/** A list. */
export function list<T>(description: string, items: Schema<T>, maxItems?: number): Schema<readonly T[]> {
  return { type: "array", description, items, ...(maxItems === undefined ? {} : { maxItems }) };
}

/** A value that fits exactly one of several schemas. */
export function oneOf<S extends readonly Schema[]>(description: string, ...schemas: S): Schema<TypeOf<S[number]>> {
  return { oneOf: schemas, description };
}

/** An object with any field names and values of one schema. */
export function map<T>(description: string, values: Schema<T>): Schema<Readonly<Record<string, T>>> {
  return { type: "object", description, additionalProperties: values };
}

/** An object of a request: fields that the schema does not name are ignored. */
export function request<F extends Fields>(description: string, fields: F): Schema<ObjectOf<F>> {
  const required = Object.keys(fields).filter((name) => !name.endsWith("?"));
  return {
    type: "object",
    description,
    properties: Object.fromEntries(Object.entries(fields).map(([name, field]) => [name.replace(/\?$/, ""), field])),
    ...(required.length > 0 ? { required } : {}),
  };
}

/** An object of a response: it has no other fields. */
export function object<F extends Fields>(description: string, fields: F): Schema<ObjectOf<F>> {
  return { ...request(description, fields), additionalProperties: false };
}

/** An object of a response with a title. */
export function entity<F extends Fields>(title: string, description: string, fields: F): Component<ObjectOf<F>> {
  return { title, ...object(description, fields) };
}

/** Refers to a component; the description says what the component is in this place. */
export function ref<T>({ title }: Component<T>, description?: string): Schema<T> {
  return { $ref: `#/components/schemas/${title}`, ...(description === undefined ? {} : { description }) };
}
