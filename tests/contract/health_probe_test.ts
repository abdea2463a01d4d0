/** The contract of health probes, over the fake and over real servers. Commands run in a simulated systemd. */

import assert from "node:assert/strict";
import { FakeHealthProbe } from "../../daemon/agent/fake_health_probe.ts";
import type { HealthProbe } from "../../daemon/agent/health_monitor.ts";
import { openHealthProbe } from "../../daemon/host/health_probe.ts";
import { healthCheckOf } from "../../registry/health_check.ts";
import { FakeSystemd } from "../../systemd/testing/fake_systemd.ts";

/** A probe, and the server that it asks. */
interface ProbeFixture {
  readonly probe: HealthProbe;
  /** Returns a URL whose server answers with a status, refuses connections, or never answers. */
  serve(answer: number | "refuses" | "hangs"): Promise<string>;
}

function checkOf(value: string) {
  const options = Object.entries({ HealthCheck: value, HealthTimeout: "1s" });
  const check = healthCheckOf("a.service", options.map(([name, value]) => ({ section: "X-Fleet", name, value })));
  assert.ok(check, value);
  return check;
}

const cases: readonly { readonly name: string; run(fixture: ProbeFixture): Promise<void> }[] = [
  {
    name: "a status from 200 to 399 passes, and every other one fails with its number",
    async run({ probe, serve }) {
      const { signal } = new AbortController();
      for (const status of [200, 204, 302]) {
        assert.equal(await probe("a.service", checkOf(await serve(status)), signal), undefined, String(status));
      }
      for (const status of [404, 500, 503]) {
        const url = await serve(status);
        assert.equal(await probe("a.service", checkOf(url), signal), `${url} answers with status ${status}`);
      }
    },
  },
  {
    name: "a server that refuses or never answers fails with that reason",
    async run({ probe, serve }) {
      const { signal } = new AbortController();
      const [refuses, hangs] = [await serve("refuses"), await serve("hangs")];
      const refused = await probe("a.service", checkOf(refuses), signal);
      assert.match(refused ?? "", /^http:\/\/localhost:\d+\/ does not answer: .*refused/i);
      assert.equal(await probe("a.service", checkOf(hangs), signal), `${hangs} has not answered within 1s`);
    },
  },
  {
    name: "a check that is aborted rejects",
    async run({ probe, serve }) {
      await assert.rejects(probe("a.service", checkOf(await serve("hangs")), AbortSignal.abort()));
    },
  },
  {
    name: "a command passes with status 0, and fails with its status or after its time",
    async run({ probe }) {
      const { signal } = new AbortController();
      assert.equal(await probe("a.service", checkOf("/bin/true"), signal), undefined);
      assert.equal(await probe("a.service", checkOf("/bin/false"), signal), "it exited with status 1");
      assert.equal(await probe("a.service", checkOf("/bin/sleep 1000"), signal), "it took longer than 1s");
    },
  },
];

Deno.test("the fake health probe", async (test) => {
  for (const each of cases) {
    await test.step(each.name, async () => {
      const fake = new FakeHealthProbe();
      await each.run({
        probe: fake.probe,
        serve(answer) {
          const url = `http://localhost:${1000 + fake.answers.size}/`;
          fake.answers.set(url, answer);
          return Promise.resolve(url);
        },
      });
    });
  }
});

/** Runs a test with a function that starts servers; they end with it. */
async function withServers(run: (serve: ProbeFixture["serve"]) => Promise<void>): Promise<void> {
  const open: { close(): void | Promise<void> }[] = [];
  const serve: ProbeFixture["serve"] = (answer) => {
    const at = { hostname: "127.0.0.1", port: 0 };
    if (typeof answer === "number") {
      const headers = { location: "http://192.0.2.1/" };
      const body = answer === 204 ? null : "x".repeat(1_000_000);
      const server = Deno.serve({ ...at, onListen() {} }, () => new Response(body, { status: answer, headers }));
      open.push({ close: () => server.shutdown() });
      return Promise.resolve(`http://localhost:${server.addr.port}/`);
    }
    const listener = Deno.listen(at);
    // The kernel accepts the connections of a listener that does not.
    if (answer === "refuses") listener.close();
    else open.push(listener);
    return Promise.resolve(`http://localhost:${listener.addr.port}/`);
  };
  try {
    await run(serve);
  } finally {
    for (const each of open) await each.close();
  }
}

Deno.test("the health probe of a machine", async (test) => {
  for (const each of cases) {
    await test.step(each.name, async () => {
      const systemd = new FakeSystemd();
      try {
        await withServers((serve) => each.run({ probe: openHealthProbe(systemd), serve }));
      } finally {
        await systemd.close();
      }
    });
  }
});

Deno.test("a health check reaches no other machine, and no proxy", async () => {
  const probe = openHealthProbe(new FakeSystemd());
  const { signal } = new AbortController();
  for (const [url, host] of [["http://192.0.2.1/", "192.0.2.1"], ["http://[2001:db8::1]/", "2001:db8::1"]] as const) {
    assert.equal(await probe("a.service", checkOf(url), signal), `${host} is not an address of this machine`);
  }
  Deno.env.set("http_proxy", "http://192.0.2.1:1/");
  try {
    await withServers(async (serve) => {
      assert.equal(await probe("a.service", checkOf(await serve(200)), signal), undefined);
    });
  } finally {
    Deno.env.delete("http_proxy");
  }
});

Deno.test("an address of the machine itself is reached, and localhost means IPv6, too", async () => {
  const probe = openHealthProbe(new FakeSystemd());
  const { signal } = new AbortController();
  const own = Deno.networkInterfaces().find(({ family, address }) => family === "IPv4" && !address.startsWith("127."));
  for (const [hostname, host] of [[own?.address ?? "127.0.0.1", undefined], ["::1", "localhost"]] as const) {
    const server = Deno.serve({ hostname, port: 0, onListen() {} }, () => new Response("ok"));
    try {
      const url = `http://${host ?? hostname}:${server.addr.port}/`;
      assert.equal(await probe("a.service", checkOf(url), signal), undefined, url);
    } finally {
      await server.shutdown();
    }
  }
});
