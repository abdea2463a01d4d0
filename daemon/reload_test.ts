import assert from "node:assert/strict";
import { parseConfig } from "./config.ts";
import { renewal } from "./reload.ts";

const conf = (text: string) => parseConfig({ file: { path: "/f", text }, env: {} }).config;

const nothing = { store: false, registry: false, api: false, membership: false };

const cases: readonly { name: string; before?: string; after: string; want: unknown }[] = [
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
    name: "perhaps what is in the TLS files",
    before: "etcd_cafile=/ca",
    after: "etcd_cafile=/ca",
    want: { store: true, registry: true, api: true, membership: true },
  },
  {
    name: "what the embedded store has no use for",
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

for (const { name, before = "", after, want } of cases) {
  Deno.test(`a reload that changes ${name}`, () => assert.deepEqual(renewal(conf(before), conf(after)), want));
}
