import assert from "node:assert/strict";
import { describeListen, type ListenSpec, listenSpec, passedSockets } from "./listen.ts";

const addresses: readonly (readonly [text: string, spec: ListenSpec])[] = [
  ["127.0.0.1:49153", { kind: "tcp", host: "127.0.0.1", port: 49153 }],
  ["localhost:0", { kind: "tcp", host: "localhost", port: 0 }],
  ["[::1]:49153", { kind: "tcp", host: "::1", port: 49153 }],
  ["unix:/run/fleet.sock", { kind: "unix", path: "/run/fleet.sock" }],
  ["unix:fleet.sock", { kind: "unix", path: "fleet.sock" }],
];

Deno.test("addresses to listen on", async (test) => {
  for (const [text, spec] of addresses) {
    await test.step(text, () => {
      assert.deepEqual(listenSpec(text), spec);
      assert.equal(describeListen(spec), text);
    });
  }
  await test.step("a path after unix://, as in a URL", () => {
    assert.deepEqual(listenSpec("unix:///run/fleet.sock"), { kind: "unix", path: "/run/fleet.sock" });
  });
  for (
    const text of [
      "",
      "49153",
      ":49153",
      "localhost",
      "localhost:",
      "localhost:99999",
      "::1:49153",
      "unix:",
      "/run/a.sock",
      "a b:1",
    ]
  ) {
    await test.step(`${JSON.stringify(text)} is no address`, () => {
      const message = `cannot listen on ${JSON.stringify(text)}: expect HOST:PORT or unix:PATH`;
      assert.throws(() => listenSpec(text), { message });
    });
  }
});

Deno.test("sockets that systemd passes", async (test) => {
  const fds = (...numbers: number[]) => numbers.map((fd) => ({ kind: "fd", fd }));
  const cases:
    readonly (readonly [name: string, pid: string | undefined, count: string | undefined, expected: unknown])[] = [
      ["none", undefined, undefined, []],
      ["two, from 3 on", "7", "2", fds(3, 4)],
      ["zero", "7", "0", []],
      ["for another process", "8", "2", []],
      ["without a count", "7", undefined, []],
      ["without a process", undefined, "1", []],
    ];
  for (const [name, LISTEN_PID, LISTEN_FDS, expected] of cases) {
    await test.step(name, () => assert.deepEqual(passedSockets({ LISTEN_PID, LISTEN_FDS }, 7), expected));
  }
  for (const LISTEN_FDS of ["", "x", "-1", "1.5", "65"]) {
    await test.step(`a count of ${JSON.stringify(LISTEN_FDS)} is refused`, () => {
      assert.throws(
        () => passedSockets({ LISTEN_PID: "7", LISTEN_FDS }, 7),
        /^Error: LISTEN_FDS must be a number from 0 to 64/,
      );
    });
  }
});
