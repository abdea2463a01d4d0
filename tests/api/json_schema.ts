/** A strict validator for the part of JSON Schema that the OpenAPI document uses. */

type Json = unknown;
type Schemas = Readonly<Record<string, Json>>;

/** Returns each violation of a schema by a value, with its path. Throws at an unknown keyword. */
export function violations(schema: Json, value: Json, schemas: Schemas, at = "$"): string[] {
  const { title: _title, description: _description, ...keywords } = schema as Record<string, Json>;
  if ("$ref" in keywords) {
    const name = /^#\/components\/schemas\/(\w+)$/.exec(keywords.$ref as string)?.[1];
    if (name === undefined || !Object.hasOwn(schemas, name)) throw new Error(`nothing at ${keywords.$ref}`);
    return violations(schemas[name], value, schemas, at);
  }
  if ("oneOf" in keywords) {
    const fitting = (keywords.oneOf as Json[]).filter((each) => violations(each, value, schemas, at).length === 0);
    return fitting.length === 1 ? [] : [`${at}: fits ${fitting.length} of the alternatives`];
  }
  return Object.entries(keywords).flatMap(([keyword, wanted]) => {
    const rule = rules[keyword];
    if (!rule) throw new Error(`the keyword ${keyword} is not known`);
    return rule(wanted, value, { schemas, at, keywords });
  });
}

interface Context {
  readonly schemas: Schemas;
  readonly at: string;
  readonly keywords: Record<string, Json>;
}

type Rule = (wanted: Json, value: Json, context: Context) => string[];

const typeOf = (value: Json) =>
  value === null
    ? "null"
    : Array.isArray(value)
    ? "array"
    : Number.isInteger(value)
    ? "integer"
    : typeof value as string;

const isObject = (value: Json): value is Record<string, Json> => typeOf(value) === "object";
const check = (holds: boolean, at: string, what: string) => holds ? [] : [`${at}: ${what}`];

const rules: Readonly<Record<string, Rule>> = {
  type: (wanted, value, { at }) => check(typeOf(value) === wanted, at, `is ${typeOf(value)}, not ${wanted}`),
  enum: (wanted, value, { at }) => check((wanted as Json[]).includes(value), at, `${value} is none of ${wanted}`),
  pattern: (wanted, value, { at }) => check(new RegExp(wanted as string).test(value as string), at, `${value}`),
  maxLength: (wanted, value, { at }) => check((value as string).length <= (wanted as number), at, "too long"),
  minimum: (wanted, value, { at }) => check((value as number) >= (wanted as number), at, `${value} is too small`),
  maxItems: (wanted, value, { at }) => check((value as Json[]).length <= (wanted as number), at, "too many"),
  items: (wanted, value, { schemas, at }) =>
    Array.isArray(value) ? value.flatMap((item, index) => violations(wanted, item, schemas, `${at}[${index}]`)) : [],
  required: (wanted, value, { at }) =>
    isObject(value) ? (wanted as string[]).flatMap((name) => check(Object.hasOwn(value, name), at, `no ${name}`)) : [],
  properties: (wanted, value, { schemas, at }) =>
    isObject(value)
      ? Object.entries(wanted as object).flatMap(([name, schema]) =>
        Object.hasOwn(value, name) ? violations(schema, value[name], schemas, `${at}.${name}`) : []
      )
      : [],
  additionalProperties: (wanted, value, { schemas, at, keywords }) => {
    if (!isObject(value)) return [];
    const known = Object.keys(keywords.properties as object ?? {});
    return Object.entries(value).filter(([name]) => !known.includes(name)).flatMap(([name, each]) =>
      wanted === false ? [`${at}: ${name} is not known`] : violations(wanted, each, schemas, `${at}.${name}`)
    );
  },
};
