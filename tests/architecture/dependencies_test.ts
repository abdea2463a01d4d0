/** Tests that only known packages are installed. Review a new one, direct or transitive, before adding it here. */

import assert from "node:assert/strict";

/** The transitive packages of each direct dependency; a shared package is listed with the first one that needs it. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": [
    ...["@grpc/proto-loader", "@js-sdsl/ordered-map", "@types/node", "lodash.camelcase", "long", "protobufjs"],
    ...["@protobufjs/aspromise", "@protobufjs/base64", "@protobufjs/codegen", "@protobufjs/eventemitter"],
    ...["@protobufjs/fetch", "@protobufjs/float", "@protobufjs/path", "@protobufjs/pool", "@protobufjs/utf8"],
    // The command line of @grpc/proto-loader.
    ...["ansi-regex", "ansi-styles", "cliui", "color-convert", "color-name", "emoji-regex", "escalade"],
    ...["get-caller-file", "is-fullwidth-code-point", "require-directory", "string-width", "strip-ansi"],
    ...["undici-types", "wrap-ansi", "y18n", "yargs", "yargs-parser"],
  ],
  // For tests only.
  "@seriousme/openapi-schema-validator": [
    ...["ajv", "ajv-draft-04", "ajv-formats", "fast-deep-equal", "fast-uri", "json-schema-traverse"],
    ...["require-from-string"],
  ],
  // For the cluster page only.
  "@preact/signals": ["@preact/signals-core"],
  // For tests only.
  "axe-core": [],
  // For the site of the docs only.
  "beautiful-mermaid": ["elkjs", "entities"],
  "dbus-next": ["@nornagon/put", "jsbi", "safe-buffer"],
  "diff": [],
  "etcd3": ["bignumber.js", "cockatiel"],
  "eventsource-parser": [],
  // For tests only.
  "fast-check": ["pure-rand"],
  // For the site of the docs only.
  "github-slugger": [],
  // For the site of the docs only.
  "highlight.js": [],
  "json-p3": [],
  "smol-toml": [],
  // For manual pages, when the programs are built, and for the site of the docs.
  "marked": [],
  // For the site of the docs only.
  "minisearch": [],
  // For tests only.
  "playwright-core": [],
  // For the cluster page only.
  "preact": [],
  "ssh2": ["asn1", "bcrypt-pbkdf", "safer-buffer", "tweetnacl"],
  "yaml": [],
};

interface Lock {
  readonly npm: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

const read = (name: string) => JSON.parse(Deno.readTextFileSync(new URL(`../../${name}`, import.meta.url)));
const lock: Lock = read("deno.lock");
const nameOf = (entry: string) => entry.slice(0, entry.indexOf("@", 1));
const locked = new Set(Object.keys(lock.npm).map(nameOf));

Deno.test("only reviewed packages are installed", () => {
  const known = new Set(Object.entries(allowed).flatMap(([name, others]) => [name, ...others]));
  assert.deepEqual(
    { unknown: [...locked].filter((name) => !known.has(name)), gone: [...known].filter((name) => !locked.has(name)) },
    { unknown: [], gone: [] },
    "deno.lock differs from the list in tests/architecture/dependencies_test.ts: look at what is new, and change the list",
  );
});

Deno.test("direct dependencies are those of deno.json", () => {
  assert.deepEqual(Object.keys(allowed).toSorted(), Object.keys(read("deno.json").imports).toSorted());
});

Deno.test("native and unused parts of packages are left out by package.json", () => {
  for (const name of Object.keys(read("package.json").overrides)) {
    assert.ok(!locked.has(name), `${name} is installed: delete deno.lock and run deno install`);
  }
});

Deno.test("every package is pinned by its version and its hash", () => {
  for (const [name, specifier] of Object.entries(read("deno.json").imports)) {
    assert.match(String(specifier), new RegExp(`^npm:${name}@\\d+\\.\\d+\\.\\d+$`));
  }
  for (const [entry, { integrity }] of Object.entries(lock.npm)) {
    assert.match(entry, /^@?[^@]+@\d+\.\d+\.\d+(_|$)/);
    assert.match(String(integrity), /^sha512-/, entry);
  }
});

Deno.test("every package comes from the npm registry", () => {
  assert.deepEqual(
    Object.keys(lock).sort(),
    ["npm", "specifiers", "version", "workspace"],
    "no jsr, no remote modules",
  );
  for (const [entry, value] of Object.entries(lock.npm)) {
    assert.ok(!("tarball" in value), `${entry} has its own address`);
  }
});
