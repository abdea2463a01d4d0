import assert from "node:assert/strict";
import { ManualClock } from "../../../tests/support/manual_clock.ts";
import { AuditLog } from "./audit.ts";
import type { Log } from "../../../runtime/log.ts";
import type { ConnectionInfo } from "../context.ts";

const network: ConnectionInfo = { kind: "network", remote: "10.0.0.2:4711", hosts: ["10.0.0.1:49153"] };
const process = { pid: 4711, uid: 1000, gid: 100 };
const unix: ConnectionInfo = { kind: "unix", remote: "unix", hosts: ["x"], process };

type Line = Parameters<Log>;

function open(
  closing = new AbortController(),
): { readonly audit: AuditLog; readonly lines: Line[]; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const lines: Line[] = [];
  return { audit: new AuditLog(clock, (...line) => lines.push(line), closing.signal), lines, clock };
}

const request = (method: string) => new Request("http://localhost/", { method });

Deno.test("refusals are logged with the peer, up to ten per minute", async () => {
  const { audit, lines, clock } = open();
  const denied = () =>
    audit.refused({ code: 401, message: "no" }, request("GET"), { target: "/x", connection: network });
  for (let i = 0; i < 1000; i++) denied();
  const line: Line = ["warn", "an API request was refused", {
    peer: "10.0.0.2:4711",
    method: "GET",
    path: "/x",
    code: 401,
    reason: "no",
  }];
  assert.deepEqual(lines, Array(10).fill(line));
  clock.advance(60_000);
  await ManualClock.settle();
  assert.deepEqual(lines.slice(10), [["warn", "990 more API requests were refused"]], "without another refusal");
  denied();
  assert.deepEqual(lines.slice(11), [line]);
});

Deno.test("the number of further refusals is logged when the server closes", async () => {
  const closing = new AbortController();
  const { audit, lines } = open(closing);
  for (let i = 0; i < 12; i++) {
    audit.refused({ code: 401, message: "no" }, request("GET"), { target: "/x", connection: network });
  }
  closing.abort();
  await ManualClock.settle();
  assert.deepEqual(lines.slice(10), [["warn", "2 more API requests were refused"]]);
});

Deno.test("a request that can change something is logged with its sender, outcome and token", () => {
  const { audit, lines } = open();
  const answered = (method: string, connection: ConnectionInfo, as?: string) =>
    audit.answered(new Response(null, { status: 204 }), request(method), { target: "/u", connection }, as);
  answered("PUT", unix);
  answered("DELETE", network, "deploy");
  answered("POST", { ...unix, process: { ...process, pid: 0 } });
  assert.deepEqual(lines, [
    ["info", "an API request was answered", {
      peer: "unix",
      ...process,
      as: undefined,
      method: "PUT",
      path: "/u",
      code: 204,
    }],
    ["info", "an API request was answered", {
      peer: "10.0.0.2:4711",
      as: "deploy",
      method: "DELETE",
      path: "/u",
      code: 204,
    }],
    ["info", "an API request was answered", {
      peer: "unix",
      ...process,
      pid: 0,
      as: undefined,
      method: "POST",
      path: "/u",
      code: 204,
    }],
  ]);
});

Deno.test("a request that only reads is not logged", () => {
  const { audit, lines } = open();
  for (const method of ["GET", "HEAD"]) {
    audit.answered(new Response("x"), request(method), { connection: unix }, "dashboard");
  }
  assert.deepEqual(lines, []);
});

Deno.test("the path of a target is logged", () => {
  const { audit, lines } = open();
  for (const target of ["/a?b=1", "http://localhost/a?b", "HTTPS://x:1/a#c", "/a"]) {
    audit.answered(new Response("x"), request("PUT"), { target, connection: unix }, undefined);
  }
  assert.deepEqual(lines.map(([, , fields]) => fields?.path), ["/a", "/a", "/a", "/a"]);
});

Deno.test("long paths are cut, and an unknown peer is left out", () => {
  const { audit, lines } = open();
  audit.answered(new Response("x"), request("PUT"), { target: `/${"a".repeat(1000)}` }, undefined);
  const [[, , fields]] = lines as [Line];
  assert.deepEqual(fields, { peer: undefined, as: undefined, method: "PUT", path: `/${"a".repeat(199)}`, code: 200 });
});
