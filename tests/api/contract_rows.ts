/** The reference of API v1 as requests and their responses. Each row has the name that the reference gives it. */

import type { RawRequest } from "./server_fixture.ts";

/** A request and its expected response. All rows are sent to one server, in this order. */
export interface Row extends Omit<RawRequest, "path"> {
  /** Section and row of the reference. */
  readonly row: string;
  /** The path below the prefix; below the root if it begins with `^`. */
  readonly at: string;
  readonly code: number;
  /** An error's message, or a pattern for it. */
  readonly refusal?: string | RegExp;
  /** The whole body, or a pattern for it. Without this and without a refusal, the body is empty. */
  readonly gives?: string | RegExp;
  /** Content-Type of the response; "": none. Default: `application/json`, or none if the body is empty. */
  readonly type?: string;
  /** A pattern for the status line and the headers of the response. */
  readonly head?: RegExp;
}

/** Units besides the four in the rows; together they fill one page and begin a second one. */
export const filler = Array.from({ length: 97 }, (_, index) => `z${100 + index}.service`);

/** The IDs of the machines. */
export const [m1, m2] = ["1".repeat(32), "2".repeat(32)] as const;

const hash = "0123456789012345678901234567890123456789";
const methods = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"];
const any = /./s;

/** Rows for the methods that are not allowed, with their refusal. */
function others(row: string, at: string, allowed: readonly string[], code: number, refusal: string): Row[] {
  return methods.filter((method) => !allowed.includes(method))
    .map((method) => ({ row: `${row}, ${method}`, method, at, code, refusal }));
}

const notFound = (row: string, at: string): Row => ({
  row,
  at,
  code: 404,
  refusal: "no resource at this path: /fleet/v1/openapi.json lists all paths",
});

const routes: readonly Row[] = [
  { row: "1 /discovery GET", at: "/discovery", code: 200, gives: /"kind":"discovery#restDescription"/ },
  ...others("1 /discovery", "/discovery", ["GET"], 400, "only HTTP GET supported against this resource"),
  { row: "1 /machines GET", at: "/machines", code: 200, gives: /^\{"machines":\[/ },
  { row: "1 /machines PATCH", method: "PATCH", at: "/machines", body: "[]", code: 204, type: "application/json" },
  ...others("1 /machines", "/machines", ["GET", "PATCH"], 405, "only GET and PATCH supported against this resource"),
  { row: "1 /units GET", at: "/units", code: 200, gives: /"units":\[/ },
  ...others("1 /units", "/units", ["GET"], 405, "only GET supported against this resource"),
  { row: "1 /units/{name} GET", at: "/units/a.service", code: 200, gives: /"name":"a\.service"/ },
  ...others(
    ...["1 /units/{name}", "/units/a.service", ["GET", "PUT", "DELETE"]] as const,
    ...[405, "only GET, PUT and DELETE supported against this resource"] as const,
  ),
  { row: "1 /state GET", at: "/state", code: 200, gives: /"states":\[/ },
  ...others("1 /state", "/state", ["GET"], 405, "only GET supported against this resource"),
  { row: "1 /state/{name} GET", at: "/state/a.service", code: 200, gives: /"name":"a\.service"/ },
  ...others("1 /state/{name}", "/state/a.service", ["GET"], 405, "only GET supported against this resource"),
  ...others("1 prefix itself, any", "", [], 405, "no method is supported against this resource"),
  ...others("1 /, any", "^/", [], 405, "no method is supported against this resource"),
  ...methods.map((method): Row => ({
    ...{ row: `1 /metrics, ${method}`, method, at: "^/metrics", code: 200 },
    ...{ gives: /^# HELP fleet_/, type: "text/plain; version=0.0.4; charset=utf-8" },
  })),
  notFound("1 anything else", "/nothing"),
  notFound("1 anything else, below a unit", "/units/a.service/nothing"),
  notFound("1 anything else, below no prefix", "^/units"),
  notFound("1 anything else, another version", "^/fleet/v2/units"),
  ...["/units/", "/state/", "/machines/", "/discovery/", "^/metrics/", "/"]
    .map((at) => notFound(`1 trailing slash: ${at}`, at)),
  { row: "1 {name} is percent-decoded", at: "/units/%61%2Eservice", code: 200, gives: /"name":"a\.service"/ },
  {
    ...{ row: "1 {name} is percent-decoded: + is itself", method: "PUT", at: "/units/hel+lo.service", body: "{}" },
    headers: { "Content-Type": "application/json" },
    ...{ code: 400, refusal: "invalid character '+' in unit name" },
  },
  { row: "1 Content-Length", at: "/units/a.service", code: 200, gives: any, head: /\r\ncontent-length: \d+(\r\n|$)/i },
  notFound("1 {name} is one segment", "/units/a/b"),
  notFound("1 {name} is one segment, decoded", "/units/a%2Fb"),
  ...(["//units?x=y", "/x/../units?x=y", "/./units?x=y", "/%2e/units?x=y"] as const).map((at): Row => ({
    ...{ row: `1 path that is not canonical: ${at}`, at, code: 301, type: "text/html; charset=utf-8" },
    ...{ gives: /<a href="[^"]*\/units\?x=y">/, head: /\r\nlocation: \/(fleet\/v1|v1-alpha)\/units\?x=y(\r\n|$)/i },
  })),
];

const option = (name: string, value: string) => `{"name":"${name}","section":"Service","value":"${value}"}`;

const entities: readonly Row[] = [
  {
    row: "2 Machine: id, metadata, primaryIP; 2 MachinePage: machines",
    at: "/machines",
    code: 200,
    gives:
      `{"machines":[{"id":"${m1}","metadata":{"disk":"ssd","region":"eu"},"primaryIP":"10.0.0.1"},{"id":"${m2}"}]}`,
  },
  {
    row: "2 Unit: every field",
    at: "/units/a.service",
    code: 200,
    gives: `{"currentState":"launched","desiredState":"launched","machineID":"${m1}","name":"a.service",` +
      `"options":[${option("ExecStart", "/bin/true")}]}`,
  },
  {
    row: "2 Unit: machineID is absent when unscheduled; currentState is inactive then",
    at: "/units/b.service",
    code: 200,
    gives: /^\{"currentState":"inactive","desiredState":"launched","name":"b\.service","options":/,
  },
  {
    row: "2 Unit: a global one has neither machineID nor currentState",
    at: "/units/g.service",
    code: 200,
    gives: /^\{"desiredState":"launched","name":"g\.service","options":/,
  },
  {
    row: "2 Unit: the list agrees with the single GET for globals",
    at: "/units",
    code: 200,
    gives: /[[,]\{"desiredState":"launched","name":"g\.service","options":/,
  },
  {
    row: "2 UnitOption: an empty value is omitted",
    at: "/units/e.service",
    code: 200,
    gives: /"options":\[\{"name":"ExecStart","section":"Service"\}\]/,
  },
  {
    row: "2 UnitState: every field; 2 UnitStatePage: states",
    at: "/state?unitName=a.service",
    code: 200,
    gives: `{"states":[{"hash":"${hash}","machineID":"${m1}","name":"a.service","systemdActiveState":"active",` +
      `"systemdLoadState":"loaded","systemdSubState":"running"}]}`,
  },
];

const badTokens: readonly (readonly [row: string, token: string, refusal: string])[] = [
  ["empty token", "", "EOF"],
  ["1 byte", "ZA==", "unexpected EOF"],
  ["2 bytes", "ZAA=", "unexpected EOF"],
  ["3 bytes", "ZAAC", "unexpected EOF"],
  ["bad base64", "ZA!CAA==", "illegal base64 data"],
  ["missing padding", "ZAACAA", "illegal base64 data"],
  ["limit differs", "YwABAA==", "token limit must be 100"],
  ["page 0", "ZAAAAA==", "token page must be greater than zero"],
];

const pages: readonly Row[] = [
  {
    row: "3 nextPageToken: limit and page, 16 bits each, little-endian, padded URL-safe base64; units by name",
    ...{ at: "/units", code: 200 },
    gives: /^\{"nextPageToken":"ZAACAD56MTk1LnNlcnZpY2U=","units":\[\{[^}]*"name":"a\.service"/,
  },
  {
    row: "3 nextPageToken leads to the next page",
    ...{ at: "/units?nextPageToken=ZAACAD56MTk1LnNlcnZpY2U=", code: 200 },
    gives: /^\{"units":\[\{[^}]*"name":"z196\.service"[^}]*\}\]\}\]\}$/,
  },
  {
    row: "3 the last page has no nextPageToken",
    ...{ at: "/units?nextPageToken=ZAACAA==", code: 200, gives: /^\{"units":\[.*"name":"z196\.service".*\]\}$/ },
  },
  { row: "3 a page past the end", at: "/units?nextPageToken=ZAADAA==", code: 200, gives: "{}" },
  { row: "3 the last page that a token can name", at: "/units?nextPageToken=ZAD__w==", code: 200, gives: "{}" },
  {
    row: "3 longer input is accepted, the excess ignored",
    ...{ at: "/units?nextPageToken=ZAACAAEB", code: 200, gives: /^\{"units":\[/ },
  },
  { row: "3 a parameter of another name", at: "/units??nextPageToken=x", code: 200, gives: /^\{"nextPageToken":/ },
  { row: "3 machines by ID", at: "/machines", code: 200, gives: new RegExp(`"id":"${m1}".*"id":"${m2}"`) },
  {
    row: "3 states by name and machine ID",
    ...{ at: "/state", code: 200 },
    gives: new RegExp(`"${m1}","name":"a\\..*"${m1}","name":"g\\..*"${m2}","name":"g\\.`),
  },
  ...["units", "machines", "state"].flatMap((list) => [
    ...badTokens.map(([row, token, refusal]): Row => ({
      ...{ row: `3 ${row}: /${list}`, at: `/${list}?nextPageToken=${token}`, code: 400, refusal },
    })),
    {
      ...{ row: `3 token given twice: /${list}`, at: `/${list}?nextPageToken=ZAABAA==&nextPageToken=ZAABAA==` },
      ...{ code: 400, refusal: "too many values for page token" },
    },
    { row: `3 other query parameters: /${list}`, at: `/${list}?alt=json&prettyPrint`, code: 200, gives: any },
  ]),
  {
    row: "3 /state machineID",
    at: `/state?machineID=${m2}`,
    code: 200,
    gives: /^\{"states":\[\{[^}]*"g\.service"[^}]*\}\]\}$/,
  },
  { row: "3 /state unitName, exact", at: "/state?unitName=a", code: 200, gives: "{}" },
  { row: "3 /state machineID, exact", at: `/state?machineID=${m2.slice(1)}`, code: 200, gives: "{}" },
  { row: "3 /state unitName, letter by letter", at: "/state?unitName=A.service", code: 200, gives: "{}" },
  { row: "3 /state both", at: `/state?machineID=${m2}&unitName=a.service`, code: 200, gives: "{}" },
  {
    row: "3 /state empty is no filter",
    at: "/state?machineID=&unitName=",
    code: 200,
    gives: /"a\.service".*"g\.service"/,
  },
  {
    row: "3 /state first occurrence",
    ...{
      at: "/state?unitName=a.service&unitName=g.service",
      code: 200,
      gives: /^\{"states":\[\{[^}]*"a\.service"[^}]*\}\]\}$/,
    },
  },
];

const json = { "Content-Type": "application/json" };
const file = '{"name":"ExecStart","section":"Service","value":"/bin/true"}';

/** A PUT of JSON text. */
function put(row: string, name: string, body: string, code: number, refusal?: string | RegExp): Row {
  const at = `/units/${encodeURIComponent(name)}`;
  return { row, method: "PUT", at, headers: json, body, code, ...(refusal === undefined ? {} : { refusal }) };
}

/** Checks the desired state of a unit. */
function desired(row: string, name: string, state: string): Row {
  return {
    row: `${row}: it is ${state}`,
    at: `/units/${name}`,
    code: 200,
    gives: new RegExp(`"desiredState":"${state}"`),
  };
}

const longName = (length: number) => "x".repeat(length - ".service".length) + ".service";

const invalidNames: readonly (readonly [name: string, refusal: string])[] = [
  [longName(257), "unit name exceeds maximum length (256)"],
  ["hello", 'unit name must contain "."'],
  ["hello.", 'unit name cannot end in "."'],
  ["hello.conf", 'invalid unit type: "conf"'],
  ["hello.Service", 'invalid unit type: "Service"'],
  ...["automount", "busname", "device", "mount", "scope", "slice", "snapshot", "swap"]
    .map((type) => [`hello@1.${type}`, `invalid unit type for template: "${type}"`] as const),
  ["hel+lo.service", "invalid character '+' in unit name"],
  ["h\u00e9.service", "invalid character '\u00e9' in unit name"],
  ["@1.service", 'unit name cannot start in "@"'],
];

const validNames = [
  ...["automount", "device", "mount", "path", "service", "slice", "socket", "swap", "target", "timer"]
    .map((type) => `type.${type}`),
  ...["path", "service", "socket", "target", "timer"].map((type) => `type@1.${type}`),
  longName(256),
  "a:-_.\\x2d@Z9.service",
];

const fleet = (...options: readonly string[]) =>
  `{"options":[${
    options.map((each) => /^([^=]*)=(.*)$/.exec(each)!.slice(1)).map(([name, value]) =>
      `{"name":"${name}","section":"X-Fleet","value":"${value}"}`
    ).join()
  }]}`;

const forbidden: readonly (readonly [options: readonly string[], refusal: string])[] = [
  [["MachineOf=p.service", "Conflicts=p*"], 'unresolvable requirements: peer "p.service" matches conflict "p*"'],
  [["MachineOf=p.service", "Replaces=p*"], 'unresolvable requirements: peer "p.service" matches replace "p*"'],
  [["MachineID=m", "MachineOf=p.service"], "MachineID= and MachineOf= exclude each other"],
  [["MachineID=m", "Conflicts=p*"], "MachineID= and Conflicts= exclude each other"],
  [["MachineID=m", "Global=true"], "MachineID= and Global=true exclude each other"],
  [["MachineID=m", "Replaces=p*"], "MachineID= and Replaces= exclude each other"],
  [["Global=true", "MachineOf=p.service"], "Global=true and MachineOf= exclude each other"],
  [["Global=true", "Replaces=p*"], "Global=true and Replaces= exclude each other"],
  [["Conflicts=p*", "Replaces=q*"], "Conflicts= and Replaces= exclude each other"],
];

const allowed: readonly (readonly string[])[] = [
  ["Global=true", "Conflicts=p*", "MachineMetadata=a=b"],
  ["MachineOf=p.service", "Conflicts=q*"],
  ["MachineOf=p.service", "Replaces=q*"],
  ["MachineID=m", "MachineMetadata=a=b"],
  ["MachineOf=not-there.service"],
  ["NoKeyOfOurs=1"],
];

const putAt = { method: "PUT", at: "/units/new.service" } as const;
const otherFile = file.replace("true", "false");
const noState = "must provide DesiredState to update existing unit";

const puts: readonly Row[] = [
  { row: "4.1 no Content-Type", ...putAt, body: "{}", code: 415, refusal: "expected 1 Content-Type, got 0" },
  {
    ...{ row: "4.1 two Content-Types", ...putAt, body: "{}", code: 415, refusal: "expected 1 Content-Type, got 2" },
    headers: { "Content-Type": "application/json\r\ncontent-type: application/json" },
  },
  {
    ...{ row: "4.2 media type", ...putAt, headers: { "Content-Type": "text/json" }, body: "{}", code: 415 },
    refusal: "only acceptable Content-Type is application/json",
  },
  {
    ...{ row: "4.2 media type is compared by case", ...putAt, headers: { "Content-Type": "Application/json" } },
    ...{ body: "{}", code: 415, refusal: "only acceptable Content-Type is application/json" },
  },
  {
    ...{
      row: "4.2 media type with a parameter",
      ...putAt,
      headers: { "Content-Type": "application/json ;charset=utf-8" },
    },
    ...{ body: "{}", code: 409, refusal: "unit does not exist and options field empty" },
  },
  put("4.3 empty body", "new.service", "", 400, "unable to decode body: EOF"),
  put("4.3 half a body", "new.service", '{"name":', 400, "unable to decode body: unexpected EOF"),
  put("4.3 no JSON", "new.service", "hello", 400, /^unable to decode body: /),
  put("4.3 a null entry in options [F]", "new.service", '{"options":[null]}', 400, /^unable to decode body: /),
  put(
    "4.4 name differs",
    "new.service",
    '{"name":"b.service"}',
    400,
    'name in URL "new.service" differs from unit name in request body "b.service"',
  ),
  ...invalidNames.map(([name, refusal]) =>
    put(`4.5 invalid name: ${name.slice(0, 20)}`, name, `{"options":[${file}]}`, 400, refusal)
  ),
  ...validNames.map((name) => put(`4.5 valid name: ${name.slice(0, 20)}`, name, `{"options":[${file}]}`, 201)),
  put(
    "4.6 new unit, no options",
    "new.service",
    '{"desiredState":"launched"}',
    409,
    "unit does not exist and options field empty",
  ),
  put(
    "4.7 new unit, a value with a line that is no option",
    "new.service",
    `{"options":[${option("A", "x\\ny")}]}`,
    400,
    /line without =: "y"/,
  ),
  ...forbidden.map(([options, refusal]) =>
    put(`4.7 ${options.join(" ")}`, "new.service", fleet(...options), 400, refusal)
  ),
  put(
    "4 of a key that comes twice the last one counts",
    "new.service",
    `{"options":[],"options":[${file}],"desiredState":"launched","desiredState":"up"}`,
    400,
    'unknown desiredState "up": expect inactive, loaded, launched',
  ),
  put("4.3 comes before 4.5", "hello.conf", "{", 400, "unable to decode body: unexpected EOF"),
  put(
    "4.4 comes before 4.5",
    "hello.conf",
    '{"name":"b.conf"}',
    400,
    'name in URL "hello.conf" differs from unit name in request body "b.conf"',
  ),
  ...allowed.map((options, index) =>
    put(`4.7 allowed: ${options.join(" ")}`, `allowed${index}.service`, fleet(...options), 201)
  ),
  put(
    "4.8 new unit, unknown state [F]",
    "new.service",
    `{"options":[${file}],"desiredState":"up"}`,
    400,
    'unknown desiredState "up": expect inactive, loaded, launched',
  ),
  put("4 creation; missing desiredState", "new.service", `{"options":[${file}]}`, 201),
  desired("4 creation; missing desiredState", "new.service", "inactive"),
  put(
    "4 creation of a template with launched [F]",
    "t@.service",
    `{"options":[${file}],"desiredState":"launched"}`,
    400,
    'cannot activate template "t@.service"',
  ),
  put("4 creation of a template", "t@.service", `{"options":[${file}]}`, 201),
  put("4.9 hash differs", "new.service", `{"options":[${otherFile}],"desiredState":"launched"}`, 201),
  desired("4.9 hash differs", "new.service", "launched"),
  put("4.9 replacement without a state [V]", "new.service", `{"options":[${file}]}`, 201),
  desired("4.9 replacement without a state [V]", "new.service", "inactive"),
  put(
    "4.9 replacement skips no validation [F]",
    "new.service",
    fleet("MachineID=m", "Global=true"),
    400,
    "MachineID= and Global=true exclude each other",
  ),
  put("4.10 existing, no desiredState", "new.service", "{}", 409, noState),
  put("4.10 existing, same hash, no desiredState", "new.service", `{"options":[${file}]}`, 409, noState),
  put(
    "4.11 existing template",
    "t@.service",
    '{"desiredState":"loaded"}',
    400,
    'cannot activate template "t@.service"',
  ),
  put(
    "4.11 comes before an unknown state",
    "t@.service",
    '{"desiredState":"gone"}',
    400,
    'cannot activate template "t@.service"',
  ),
  put("4.11 existing template, inactive", "t@.service", '{"desiredState":"inactive"}', 204),
  put("4.12 options absent", "new.service", '{"desiredState":"loaded"}', 204),
  desired("4.12 options absent", "new.service", "loaded"),
  put("4.12 same hash", "new.service", `{"options":[${file}],"desiredState":"launched"}`, 204),
  desired("4.12 same hash", "new.service", "launched"),
  put(
    "4.12 any string as a state [F]",
    "new.service",
    '{"desiredState":"gone"}',
    400,
    'unknown desiredState "gone": expect inactive, loaded, launched',
  ),
  desired("4.12 any string as a state [F]", "new.service", "launched"),
  put(
    "4 only the first JSON value; unknown fields; names in any case; currentState and machineID",
    "first.service",
    `{"OPTIONS":[${file}],"x":[],"currentState":"launched","machineID":"m"} {garbage`,
    201,
  ),
  desired("4 currentState in a request is ignored", "first.service", "inactive"),
];

const units: readonly Row[] = [
  { row: "5 GET", at: "/units/new.service", code: 200, gives: /"name":"new\.service"/ },
  { row: "5 GET, none", at: "/units/none.service", code: 404, refusal: "unit does not exist" },
  { row: "5 DELETE", method: "DELETE", at: "/units/new.service", code: 204 },
  { row: "5 DELETE, none", method: "DELETE", at: "/units/new.service", code: 404, refusal: "unit does not exist" },
  {
    row: "5 /state/{name}, of a global that of the lowest machine ID",
    at: "/state/g.service",
    code: 200,
    gives: new RegExp(`"${m1}"`),
  },
  { row: "5 /state/{name}, missing [F]", at: "/state/b.service", code: 404, refusal: "unit state does not exist" },
];

/** A PATCH of JSON text. */
function patch(row: string, body: string, refusal?: string | RegExp, headers: Row["headers"] = {}): Row {
  const done: Partial<Row> = refusal === undefined ? { type: "application/json" } : { refusal };
  return { row, method: "PATCH", at: "/machines", headers, body, code: refusal === undefined ? 204 : 400, ...done };
}

const operation = (op: string, key: string, value?: string) =>
  `{"op":"${op}","path":"/${m2}/metadata/${key}"${value === undefined ? "" : `,"value":${value}`}}`;
const invalidPath = "machine metadata path invalid";

/** Checks the metadata of the second machine. */
function metadata(row: string, text: string): Row {
  return { row, at: "/machines", code: 200, gives: new RegExp(`"id":"${m2}"${text}\\}\\]\\}$`) };
}

const patches: readonly Row[] = [
  patch("6 not an array", "{}", any),
  patch("6 not an array of objects", "[1]", any),
  patch("6 op", `[${operation("move", "k", '"v"')}]`, "invalid op: expect add, remove, or replace"),
  patch("6 path, elsewhere", '[{"op":"add","path":"/m/ip","value":"v"}]', invalidPath),
  patch("6 path, key", `[${operation("add", "a+b", '"v"')}]`, invalidPath),
  patch("6 op comes before path", '[{"op":"move","path":"/m/ip"}]', "invalid op: expect add, remove, or replace"),
  patch("6 add with empty value", `[${operation("add", "k", '""')}]`, "invalid value: add and replace require a value"),
  patch("6 replace without value", `[${operation("replace", "k")}]`, "invalid value: add and replace require a value"),
  patch(
    "6 all operations are validated first",
    `[${operation("add", "k", '"v"')},${operation("x", "k")}]`,
    "invalid op: expect add, remove, or replace",
  ),
  metadata("6 nothing was applied", ""),
  patch("6 value is an object; no Content-Type check", `[${operation("add", "A.b_c-9", '{"value":"1"}')}]`, undefined, {
    "Content-Type": "text/plain",
  }),
  metadata("6 value is an object", ',"metadata":\\{"A.b_c-9":"1"\\}'),
  patch("6 value is a plain string; replace is add", `[${operation("replace", "k", '"2"')}]`),
  metadata("6 value is a plain string", ',"metadata":\\{"A.b_c-9":"1","k":"2"\\}'),
  patch(
    "6 in order; remove",
    `[${operation("add", "k", '"3"')},${operation("remove", "k")},${operation("remove", "A.b_c-9")}]`,
  ),
  metadata("6 in order; remove", ""),
  patch("6 remove hides the static key", `[{"op":"remove","path":"/${m1}/metadata/disk"}]`),
  { row: "6 remove hides the static key", at: "/machines", code: 200, gives: /"metadata":\{"region":"eu"\}/ },
  patch("6 unknown machine IDs are accepted", '[{"op":"add","path":"/unknown/metadata/k","value":"v"}]'),
  metadata("6 unknown machine IDs are invisible", ""),
  patch("6 [] is a no-op", "[]"),
  patch("6 null is a no-op", "null"),
];

const metrics = [
  ...["engine_leader_start_time", 'engine_task_count_total{type="unscheduleunit"}'],
  ...['engine_task_count_total{type="attemptscheduleunit"}', 'engine_task_failure_count_total{type="unscheduleunit"}'],
  ...['engine_task_failure_count_total{type="attemptscheduleunit"}', "engine_reconcile_count_total"],
  ...['engine_reconcile_failure_count_total{type="run"}', "engine_reconcile_duration_second_count"],
  ...['registry_operation_count_total{type="read"}', 'registry_operation_duration_second_count{ops="read"}'],
].map((name): Row => ({
  ...{ row: `8 ${name}`, at: "^/metrics", code: 200, type: "text/plain; version=0.0.4; charset=utf-8" },
  gives: new RegExp(`^fleet_${name.replace(/[{}]/g, "\\$&")} \\d`, "m"),
}));

/** The rows of the reference, in its order. */
export const rows: readonly Row[] = [
  ...routes,
  ...entities,
  ...pages,
  ...puts,
  ...units,
  ...patches,
  ...metrics,
];
