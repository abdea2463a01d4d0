/**
 * Decodes request bodies by their schemas, as leniently as clients of fleet 1.0 rely on. Pure.
 *
 * @module
 */

import type { JsonSchema, Schema } from "./schema.ts";

/** A decoded value, or why there is none. */
export type Decoded<T = unknown> = { readonly value: T } | { readonly refusal: string };

/** A decoded value has every field that its schema names. */
export type Complete<T> = T extends readonly (infer Item)[] ? readonly Complete<Item>[]
  : T extends object ? { readonly [K in keyof T]-?: Complete<T[K]> }
  : T;

/**
 * Decodes a JSON value. Field names match in any case; of two that differ in case only, the last one counts; unknown
 * fields are ignored. A missing or `null` string is "", a number 0, a boolean false, a list is empty, an object has no
 * fields; a `null` item of a list is refused. The caller checks `required`, `enum`, `pattern` and `maxLength`. A
 * refusal names the field.
 */
export function decode<T>(schema: Schema<T>, value: unknown): Decoded<Complete<T>> {
  return decodeAny(schema, value, "body") as Decoded<Complete<T>>;
}

function decodeAny(schema: JsonSchema, value: unknown, path: string): Decoded {
  if (schema.oneOf) return decodeOneOf(schema.oneOf, value, path);
  const expected = { refusal: `expected ${path} to be ${nameOfType(schema)}` };
  switch (schema.type) {
    case "string":
      return typeof (value ?? "") === "string" ? { value: (value as string | null ?? "").toWellFormed() } : expected;
    case "integer":
      return Number.isSafeInteger(value ?? 0) && (value as number | null ?? 0) >= (schema.minimum ?? -Infinity)
        ? { value: value ?? 0 }
        : expected;
    case "boolean":
      return typeof (value ?? false) === "boolean" ? { value: value ?? false } : expected;
    case "array":
      return Array.isArray(value ?? []) ? decodeList(schema, value as unknown[] ?? [], path) : expected;
    case "object":
      return typeof (value ?? {}) === "object" && !Array.isArray(value)
        ? decodeObject(schema, value as object ?? {}, path)
        : expected;
    default:
      throw new Error(`requests have no values of type ${schema.type ?? schema.$ref}`);
  }
}

function nameOfType({ type, minimum }: JsonSchema): string {
  if (type === undefined) return "something";
  const article = type === "string" || type === "boolean" ? "a" : "an";
  return `${article} ${type}${minimum === undefined ? "" : ` of at least ${minimum}`}`;
}

function decodeList({ items = {}, maxItems = Infinity }: JsonSchema, list: readonly unknown[], path: string): Decoded {
  if (list.length > maxItems) return { refusal: `expected ${path} to have at most ${maxItems} items` };
  const decodedItems: unknown[] = [];
  for (const [index, item] of list.entries()) {
    const itemPath = `${path}[${index}]`;
    if (item === null) return { refusal: `expected ${itemPath} to be ${nameOfType(items)}` };
    const decoded = decodeAny(items, item, itemPath);
    if ("refusal" in decoded) return decoded;
    decodedItems.push(decoded.value);
  }
  return { value: decodedItems };
}

function decodeObject({ properties = {} }: JsonSchema, object: object, path: string): Decoded {
  const given = new Map(Object.entries(object).map(([name, field]) => [name.toLowerCase(), field]));
  const fields: Record<string, unknown> = {};
  for (const [name, schema] of Object.entries(properties)) {
    const decoded = decodeAny(schema, given.get(name.toLowerCase()), path === "body" ? name : `${path}.${name}`);
    if ("refusal" in decoded) return decoded;
    fields[name] = decoded.value;
  }
  return { value: fields };
}

function decodeOneOf(schemas: readonly JsonSchema[], value: unknown, path: string): Decoded {
  const refusals: string[] = [];
  for (const schema of schemas) {
    const decoded = decodeAny(schema, value, path);
    if ("value" in decoded) return decoded;
    refusals.push(decoded.refusal);
  }
  // The type matched an alternative whose content is wrong: say what is wrong there, not that another type was
  // expected.
  const inner = refusals.find((refusal) => !refusal.startsWith(`expected ${path} to be `));
  return { refusal: inner ?? `expected ${path} to be ${schemas.map(nameOfType).join(" or ")}` };
}
