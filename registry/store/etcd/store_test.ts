/** Tests that need a real etcd: encryption, passwords, several members, and members that hang. */

import assert from "node:assert/strict";
import { EtcdServer } from "../../../tests/lab/etcd.ts";
import { must, serve, until } from "../../../tests/lab/process.ts";
import { messageOf } from "../../../runtime/log.ts";
import { StoreUnavailableError } from "../../mod.ts";
import { type Store, WatchLostError } from "../port.ts";
import { type EtcdOptions, openEtcdStore } from "./store.ts";

// etcd3's connections outlive close() by a moment: their sockets are destroyed and their timers cleared later.
const outlived = { sanitizeOps: false, sanitizeResources: false };

function open(options: Partial<EtcdOptions>): Promise<Store> {
  return openEtcdStore({ endpoints: [], prefix: "/fleet", requestTimeout_ms: 1_000, ...options });
}

async function withStore<T>(options: Partial<EtcdOptions>, use: (store: Store) => Promise<T>): Promise<T> {
  const store = await open(options);
  try {
    return await use(store);
  } finally {
    await store.close();
  }
}

/** Resolves when a store answers a read; used to wait until it recovers. */
async function answers(store: Store): Promise<true | undefined> {
  await store.read([{ key: "a" }]);
  return true;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Creates a certificate authority and its certificate for 127.0.0.1 and localhost, as PEM files in `dir`. */
async function makeCertificates(dir: string): Promise<void> {
  const key = ["-newkey", "rsa:2048", "-nodes"];
  await must([
    ...["openssl", "req", "-x509", ...key, "-days", "2", "-subj", "/CN=authority"],
    ...["-keyout", `${dir}/ca.key`, "-out", `${dir}/ca.crt`],
  ]);
  await must([
    ...["openssl", "req", ...key, "-subj", "/CN=etcd"],
    ...["-keyout", `${dir}/etcd.key`, "-out", `${dir}/etcd.csr`],
  ]);
  await Deno.writeTextFile(`${dir}/names`, "subjectAltName=IP:127.0.0.1,DNS:localhost");
  await must([
    ...["openssl", "x509", "-req", "-in", `${dir}/etcd.csr`, "-CA", `${dir}/ca.crt`, "-CAkey", `${dir}/ca.key`],
    ...["-CAcreateserial", "-days", "2", "-extfile", `${dir}/names`, "-out", `${dir}/etcd.crt`],
  ]);
}

// First in this file: connections of the tests below would be closed during it.
Deno.test("endpoints are parsed as an operator writes them, or refused with an error that quotes them", async () => {
  for (const endpoint of ["http://10.0.0.1:2379", "https://a.example/", "a.example", "http://[fe80::1]:2379/"]) {
    await withStore({ endpoints: [endpoint] }, (store) => Promise.resolve(assert.equal(store.endpoints, endpoint)));
  }
  for (const endpoint of ["", "unix:///run/etcd", "http://a b", "ftp://a", "http://a:b"]) {
    const opened = openEtcdStore({ endpoints: [endpoint], prefix: "/fleet", requestTimeout_ms: 1 });
    await assert.rejects(opened, new TypeError(`cannot understand etcd endpoint ${JSON.stringify(endpoint)}`));
  }
  for (const endpoint of ["http://root:s3cret@a:2379", "http://root@a"]) {
    const opened = openEtcdStore({ endpoints: [endpoint], prefix: "/fleet", requestTimeout_ms: 1 });
    await assert.rejects(opened, /^TypeError: cannot understand etcd endpoint "http:\/\/\(hidden\)@a(:2379)?"$/);
  }
});

Deno.test({
  name: "an etcd with client certificates is reached only with a valid certificate and a name in the server's",
  ...outlived,
  async fn(test) {
    const dir = await Deno.makeTempDir();
    await makeCertificates(dir);
    const [client, peer] = [freePort(), freePort()];
    const [byAddress, peerUrl] = [`https://127.0.0.1:${client}`, `http://127.0.0.1:${peer}`];
    const byOtherAddress = `https://127.0.0.2:${client}`;
    const server = serve([
      ...["etcd", "--name", "a", "--data-dir", `${dir}/data`, "--initial-cluster", `a=${peerUrl}`],
      ...["--listen-client-urls", `${byAddress},${byOtherAddress}`, "--advertise-client-urls", byAddress],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
      ...["--cert-file", `${dir}/etcd.crt`, "--key-file", `${dir}/etcd.key`],
      ...["--client-cert-auth", "--trusted-ca-file", `${dir}/ca.crt`],
    ], `${dir}/log`);
    const text = (name: string) => Deno.readTextFileSync(`${dir}/${name}`);
    const tls = { ca: text("ca.crt"), cert: text("etcd.crt"), key: text("etcd.key") };
    const byName = `https://localhost:${client}`;
    const cases = [
      { name: "by the address in the certificate", endpoint: byAddress, options: { tls } },
      { name: "by a name in the certificate", endpoint: byName, options: { tls } },
      { name: "by an address that is not in it", endpoint: byOtherAddress, options: { tls }, refused: /127\.0\.0\.2/ },
      {
        name: "by another authority",
        endpoint: byAddress,
        options: { tls: { ...tls, ca: text("etcd.crt") } },
        refused: /./,
      },
      { name: "without a client certificate", endpoint: byAddress, options: { tls: { ca: tls.ca } }, refused: /./ },
    ];
    try {
      await withStore({ endpoints: [byAddress], tls }, (store) => until("etcd", () => answers(store)));
      for (const { name, endpoint, options, refused } of cases) {
        await test.step(name, () =>
          withStore({ endpoints: [endpoint], ...options }, async (store) => {
            if (!refused) return void await store.read([{ key: "a" }]);
            await assert.rejects(store.read([{ key: "a" }]), (error) => {
              assert.ok(error instanceof StoreUnavailableError);
              assert.match(messageOf(error), refused);
              return true;
            });
          }));
      }
    } finally {
      Deno.kill(server.pid, "SIGKILL");
      await server.ended;
      await Deno.remove(dir, { recursive: true });
    }
  },
});

Deno.test({
  name: "with a password, calls and watches succeed after a restart of etcd, which drops every token",
  ...outlived,
  async fn() {
    await using etcd = await EtcdServer.start();
    await withStore({ endpoints: [etcd.endpoint], username: "root", password: "secret" }, async (store) => {
      await store.transact([], [{ put: "a", value: "before authentication is switched on" }]);
      await etcd.must("user", "add", "root:secret");
      await etcd.must("user", "grant-role", "root", "root");
      await etcd.must("auth", "enable");
      await store.close();
    });
    await withStore({ endpoints: [etcd.endpoint], username: "root", password: "secret" }, async (store) => {
      const { revision } = await store.read([{ key: "a" }]);
      const lease = await store.grant(60);
      await etcd.stop();
      await etcd.start();
      await until("etcd", () => answers(store));
      const stop = new AbortController();
      const batches = store.watch([{ prefix: "" }], revision, stop.signal)[Symbol.asyncIterator]();
      const next = batches.next();
      await store.transact([], [{ put: "b", value: "after", lease }]);
      assert.equal((await next).value?.events.length, 1);
      assert.ok(await store.renew(lease) > 0);
      stop.abort();
      assert.equal((await batches.next()).done, true);
    });
  },
});

/** Asserts that a call is rejected with the endpoint and the advice for denied access. */
async function refusesAccess(etcd: EtcdServer, call: Promise<unknown>, why: RegExp): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof StoreUnavailableError, `${error}`);
    assert.match(messageOf(error), why);
    assert.ok(error.message.startsWith(`etcd at ${etcd.endpoint} `), error.message);
    return true;
  });
}

Deno.test({
  name: "a client with the right password is served when authentication is switched on, changed or switched off",
  ...outlived,
  async fn() {
    await using etcd = await EtcdServer.start();
    const endpoints = [etcd.endpoint];
    const patient = { endpoints, requestTimeout_ms: 10_000 };
    const right = await open({ ...patient, username: "fleet", password: "secret" });
    const wrong = await open({ ...patient, username: "fleet", password: "guess" });
    const anonymous = await open(patient);
    const root = (...args: string[]) => etcd.must("--user=root:secret", ...args);
    try {
      const lease = await right.grant(60);
      for (const store of [right, wrong, anonymous]) await answers(store);
      for (const user of ["root", "fleet"]) await etcd.must("user", "add", `${user}:secret`);
      await etcd.must("user", "grant-role", "root", "root");
      await etcd.must("role", "add", "fleet");
      await etcd.must("role", "grant-permission", "fleet", "--prefix=true", "readwrite", "/fleet/");
      await etcd.must("user", "grant-role", "fleet", "fleet");
      const batches = right.watch([{ prefix: "" }], 1, AbortSignal.timeout(30_000))[Symbol.asyncIterator]();
      const first = batches.next();
      await right.transact([], [{ put: "a", value: "0" }]);
      assert.equal((await first).value?.events.length, 1);
      const next = batches.next();
      await etcd.must("auth", "enable");

      await right.transact([], [{ put: "a", value: "1", lease }]);
      assert.equal((await next).value?.events.length, 1, "the open watch continues");
      assert.equal(await right.renew(lease), 60);
      await refusesAccess(
        etcd,
        anonymous.read([{ key: "a" }]),
        /set etcd_username and etcd_password.*user name is empty/,
      );
      await refusesAccess(etcd, anonymous.transact([], [{ put: "a", value: "2" }]), /set etcd_username/);
      await refusesAccess(etcd, wrong.read([{ key: "a" }]), /does not accept user fleet .*authentication failed/);
      await refusesAccess(etcd, wrong.transact([], [{ put: "a", value: "2" }]), /systemctl reload fleet/);

      await root("user", "delete", "fleet");
      await refusesAccess(etcd, right.read([{ key: "a" }]), /does not accept user fleet/);
      await root("user", "add", "fleet:secret");
      await refusesAccess(etcd, right.read([{ key: "a" }]), /denies user fleet access below \/fleet .*denied/);
      await root("user", "grant-role", "fleet", "fleet");
      await right.transact([], [{ put: "a", value: "4" }]);

      await root("auth", "disable");
      for (const store of [right, wrong, anonymous]) await answers(store);
      await batches.return?.();
    } finally {
      for (const store of [right, wrong, anonymous]) await store.close();
    }
  },
});

Deno.test({
  name: "an etcd whose space is used up reports it, answers reads, and takes writes again after defragmentation",
  ...outlived,
  async fn() {
    await using etcd = await EtcdServer.start({ flags: ["--quota-backend-bytes=1000000"] });
    await withStore({ endpoints: [etcd.endpoint], requestTimeout_ms: 10_000 }, async (store) => {
      const lease = await store.grant(60);
      const filler = { put: "filler", value: "x".repeat(200_000) };
      const full = /takes no writes .*defragment.*alarm disarm.*database space exceeded/;
      // etcd counts only data that it has written to disk, which it does ten times a second.
      const fill = async () => {
        for (const begun_ms = Date.now(); Date.now() < begun_ms + 30_000;) await store.transact([], [filler]);
      };
      await refusesAccess(etcd, fill(), full);
      // etcd raises the alarm after it has refused a write.
      await until("the alarm", async () => (await etcd.must("alarm", "list")).includes("NOSPACE") || undefined);
      await refusesAccess(etcd, store.grant(60), full);
      await answers(store);
      assert.equal(await store.renew(lease), 60, "leases live on");
      assert.ok((await store.transact([], [{ delete: "filler" }])).succeeded, "deletions are applied");
      await etcd.reclaimSpace();
      assert.ok((await store.transact([], [{ put: "a", value: "1" }])).succeeded);
    });
  },
});

Deno.test({
  name: "if one of three members hangs, calls use the others at once and its watches are lost soon",
  ...outlived,
  async fn() {
    const ports = Array.from({ length: 3 }, () => ({ client_port: freePort(), peer_port: freePort() }));
    const initial_cluster = ports.map(({ peer_port }, index) => `m${index}=http://127.0.0.1:${peer_port}`).join(",");
    const prepare = ports.map((port, index) => EtcdServer.prepare({ ...port, name: `m${index}`, initial_cluster }));
    const members = await Promise.all(prepare);
    try {
      await Promise.all(members.map((member) => member.start()));
      await withStore({ endpoints: members.map((member) => member.endpoint) }, async (store) => {
        const { revision } = await store.read([{ key: "a" }]);
        // The first endpoint is used first, so the watch goes through it.
        const batches = store.watch([{ prefix: "" }], revision, AbortSignal.timeout(30_000))[Symbol.asyncIterator]();
        const first = batches.next();
        await store.transact([], [{ put: "a", value: "1" }]);
        assert.equal((await first).value?.revision, revision + 1);
        const lost = assert.rejects(batches.next(), WatchLostError);
        members[0]?.pause();
        const paused_ms = performance.now();
        await until("the others to answer", () => answers(store));
        for (let count = 0; count < 10; count++) {
          const sent_ms = performance.now();
          await store.read([{ key: "a" }]);
          assert.ok(performance.now() - sent_ms < 1_000, "a call went to the member that hangs");
        }
        await lost;
        assert.ok(performance.now() - paused_ms < 6_000, "the watch was lost only when gRPC detected the failure");
        members[0]?.resume();
      });
    } finally {
      for (const member of members) await member[Symbol.asyncDispose]();
    }
  },
});

Deno.test({
  name: "renewals are answered again after etcd has hung",
  ...outlived,
  async fn() {
    await using etcd = await EtcdServer.start();
    await withStore({ endpoints: [etcd.endpoint] }, async (store) => {
      const [some, other] = [await store.grant(60), await store.grant(60)];
      assert.deepEqual(await Promise.all([store.renew(some), store.renew(other)]), [60, 60]);
      etcd.pause();
      await assert.rejects(store.renew(some), StoreUnavailableError);
      etcd.resume();
      await until("a renewal", async () => await store.renew(some) === 60 || undefined);
      await store.revoke(some);
      assert.deepEqual(await Promise.all([store.renew(some), store.renew(other)]), [0, 60]);
    });
  },
});

Deno.test({
  name: "a response larger than gRPC's default limit of four megabytes is read and watched whole",
  ...outlived,
  async fn() {
    await using etcd = await EtcdServer.start();
    await withStore({ endpoints: [etcd.endpoint], requestTimeout_ms: 10_000 }, async (store) => {
      const value = "x".repeat(1_000_000);
      for (let count = 0; count < 8; count++) await store.transact([], [{ put: `big/${count}`, value }]);
      assert.equal((await store.read([{ prefix: "big/" }])).ranges[0]?.length, 8);
      let seen = 0;
      for await (const { events } of store.watch([{ prefix: "big/" }], 0, AbortSignal.timeout(20_000))) {
        for (const event of events) if (event.kind === "put" && event.kv.value === value) seen++;
        if (seen === 8) break;
      }
      assert.equal(seen, 8);
    });
  },
});
