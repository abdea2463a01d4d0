import assert from "node:assert/strict";
import { parseConfig } from "./options.ts";
import type { PemTexts } from "./named_files.ts";
import { renewal } from "./diff.ts";

const conf = (text: string) => parseConfig({ file: { path: "/f", text }, env: {} }).config;

const nothing = { store: false, registry: false, api: false, membership: false };

const all = { store: true, registry: true, api: true, membership: true };
const tls = "etcd_servers=https://a:1\netcd_cafile=/ca\netcd_certfile=/cert\netcd_keyfile=/key";

interface Case {
  readonly name: string;
  readonly before?: string;
  readonly after: string;
  /** Contents of the TLS files, before and after; the same if only one is given. */
  readonly tls?: readonly [before: PemTexts, after?: PemTexts];
  readonly want: unknown;
}

const cases: readonly Case[] = [
  { name: "nothing", after: "", want: nothing },
  { name: "verbosity and log format", after: "verbosity=1\nlog_format=json", want: nothing },
  { name: "the page size", after: "token_limit=7", want: { ...nothing, api: true } },
  { name: "metadata", after: "metadata=a=b", want: { ...nothing, membership: true } },
  { name: "metadata in another order", before: "metadata=a=b,c=d", after: "metadata=a=b, c=d", want: nothing },
  { name: "disable_engine", after: "disable_engine=true", want: { ...nothing, membership: true } },
  { name: "agent_ttl", after: "agent_ttl=5s", want: { store: false, registry: true, api: true, membership: true } },
  {
    name: "the store's address",
    after: "etcd_servers=http://a:1",
    want: { store: true, registry: true, api: true, membership: true },
  },
  {
    name: "tokens, with etcd over TLS whose files are unchanged",
    before: tls,
    after: `${tls}\napi_tokens_file=/tokens`,
    tls: [{ ca: "1", cert: "1", key: "1" }],
    want: { ...nothing, membership: true },
  },
  {
    name: "nothing, with etcd over TLS whose files are unchanged",
    before: tls,
    after: tls,
    tls: [{ ca: "1", cert: "1", key: "1" }],
    want: nothing,
  },
  {
    name: "the contents of the TLS authority's file",
    before: tls,
    after: tls,
    tls: [{ ca: "1", cert: "1", key: "1" }, { ca: "2", cert: "1", key: "1" }],
    want: all,
  },
  {
    name: "the contents of the TLS certificate's and key's files",
    before: tls,
    after: tls,
    tls: [{ ca: "1", cert: "1", key: "1" }, { ca: "1", cert: "2", key: "2" }],
    want: all,
  },
  {
    name: "the name of a TLS file, and not its contents",
    before: tls,
    after: tls.replace("/ca", "/other-ca"),
    tls: [{ ca: "1", cert: "1", key: "1" }],
    want: all,
  },
  {
    name: "options that the embedded store does not use",
    before: "registry=embedded\netcd_servers=http://a:1",
    after: "registry=embedded\netcd_servers=http://b:1\netcd_cafile=/ca",
    want: nothing,
  },
  {
    name: "the units' directory",
    after: "units_directory=/x",
    want: { refusal: "units_directory cannot change while fleetd runs: systemctl restart fleet" },
  },
];

for (const { name, before = "", after, tls: [had, has = had] = [], want } of cases) {
  Deno.test(`a reload that changes ${name}`, () => {
    const effective = (text: string, etcdTls?: PemTexts) => ({ config: conf(text), ...(etcdTls && { etcdTls }) });
    assert.deepEqual(renewal(effective(before, had), effective(after, has)), want);
  });
}
