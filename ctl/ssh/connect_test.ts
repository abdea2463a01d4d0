import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { FakeIo } from "../testing/fake_terminal.ts";
import { Dialer } from "./connect.ts";
import { type Dial, type SshConnection, type SshConnector, SshError } from "./port.ts";

class IdleStream extends Duplex {
  override _read() {}

  override _write(_chunk: unknown, _encoding: string, done: () => void) {
    done();
  }
}

/** SSH without a network. Like the real connector, it closes a connection with its stream, and the other way round. */
class FakeConnector implements SshConnector {
  readonly open = new Set<string>();
  /** Host that accepts no login. */
  refuses = "";
  /** Host that the others cannot connect to. */
  unreachable = "";

  tcp(host: string) {
    return Promise.resolve({ stream: new IdleStream(), address: host });
  }

  connect({ to, stream }: Dial): Promise<SshConnection> {
    if (to.endsWith(`@${this.refuses}`)) {
      stream.destroy();
      return Promise.reject(new SshError(`${to} accepts no key of yours`));
    }
    this.open.add(to);
    stream.once("close", () => this.open.delete(to));
    return Promise.resolve({
      to,
      session: () => Promise.reject(new SshError("no sessions here")),
      toTcp: (host) => {
        if (host === this.unreachable) return Promise.reject(new SshError(`cannot reach ${host}`));
        const channel = new IdleStream();
        stream.once("close", () => channel.destroy());
        return Promise.resolve(channel);
      },
      toSocket: () => Promise.reject(new SshError("no sockets here")),
      open: true,
      close: () => stream.destroy(),
    });
  }
}

const config = "Host target\n ProxyJump first,second\n";

function dialer(): { connector: FakeConnector; dialer: Dialer } {
  const connector = new FakeConnector();
  const io = new FakeIo();
  io.files.set("/home/anna/.ssh/config", config);
  const local = {
    ...{ home: "/home/anna", user: "anna", uid: 1000, agentSocket: "/agent" },
    appendLine: () => Promise.resolve(),
  };
  const settings = { defaultUser: "core", identity: "", knownHostsFile: "/known", strict: false, timeout_ms: 10_000 };
  return { connector, dialer: new Dialer(io, local, connector, settings) };
}

/** Resolves after destroyed streams have emitted their events. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 0));

Deno.test("the connections to jump hosts are closed with the connection through them", async () => {
  const { connector, dialer: ssh } = dialer();
  const connection = await ssh.connect({ host: "target" });
  assert.deepEqual([...connector.open], ["core@first", "core@second", "core@target"]);
  connection.close();
  await settled();
  assert.deepEqual([...connector.open], []);
});

for (const [what, key] of [["refuses to log in", "refuses"], ["cannot be reached", "unreachable"]] as const) {
  for (const host of ["second", "target"]) {
    Deno.test(`the connections to jump hosts are closed if ${host} ${what}`, async () => {
      const { connector, dialer: ssh } = dialer();
      connector[key] = host;
      await assert.rejects(ssh.connect({ host: "target" }), SshError);
      await settled();
      assert.deepEqual([...connector.open], []);
    });
  }
}

Deno.test("a connection that was passed in to go through stays open", async () => {
  const { connector, dialer: ssh } = dialer();
  const through = await ssh.connect({ host: "tunnel" });
  const connection = await ssh.connect({ host: "target", through });
  assert.deepEqual([...connector.open], ["core@tunnel", "core@target"]);
  connection.close();
  await settled();
  assert.deepEqual([...connector.open], ["core@tunnel"]);
});
