import assert from "node:assert/strict";
import { FakeApi } from "../testing/fake_api.ts";
import { FakeHosts } from "../testing/fake_remote.ts";
import { FakeIo, fleetctl } from "../testing/fake_terminal.ts";

const one = "454c34ef00000000000000000000cafe";
const two = "454c99ff00000000000000000000beef";

/** Two machines; a.service is on the first, g.service everywhere, still.service nowhere. */
function cluster(): FakeApi {
  const api = new FakeApi();
  api.machines = [{ id: one, primaryIP: "10.0.0.1" }, { id: two, primaryIP: "10.0.0.2" }];
  api.add("a.service", "launched", "Service.ExecStart=/bin/true");
  api.add("still.service", "inactive", "Service.ExecStart=/bin/true");
  api.add("g.service", "launched", "Service.ExecStart=/bin/true", "X-Fleet.Global=true");
  const state = { systemdLoadState: "loaded", systemdActiveState: "active", systemdSubState: "running" };
  const onEach = [one, two].map((machineID) =>
    [machineID, { state: { name: "g.service", machineID, ...state } }] as const
  );
  api.states.set("g.service", new Map(onEach));
  return api;
}

interface Case {
  readonly line: string;
  readonly name: string;
  readonly prepare?: (api: FakeApi, hosts: FakeHosts) => void;
  readonly status?: number;
  readonly stdout?: string;
  readonly stderr?: string;
  /** What ran where. */
  readonly ran?: readonly string[];
}

const cases: Case[] = [
  // ssh: which machine
  { name: "a machine by its ID's beginning", line: "ssh 454c3 uptime", ran: ["10.0.0.1: uptime"] },
  { name: "a unit", line: "ssh a uptime", ran: ["10.0.0.1: uptime"] },
  { name: "--machine takes all words as the command", line: "ssh --machine 454c9 a b", ran: ["10.0.0.2: a b"] },
  { name: "-u", line: "ssh -u a -- ls -l", ran: ["10.0.0.1: ls -l"] },
  { name: "a port", line: "ssh --ssh-port=2022 a id", ran: ["10.0.0.1:2022: id"] },
  { name: "the default port, asked for", line: "ssh --ssh-port=22 a id", ran: ["10.0.0.1:22: id"] },
  {
    name: "both flags",
    line: "ssh --machine 454c --unit a",
    status: 1,
    stderr: "Both machine and unit flags provided, please specify only one.\n",
  },
  {
    name: "a machine and a unit of one name",
    line: "ssh 454c3",
    prepare: (api) => api.add("454c3.service", "launched", "Service.ExecStart=/bin/true"),
    status: 1,
    stderr: "Unable to proceed: ambiguous argument, both machine and unit found for `454c3`.\n" +
      "Please use flag `-m` or `-u` to refine the search\n",
  },
  ...["nosuch", "454c"].map((word) => ({
    name: `neither one machine nor one unit: ${word}`,
    line: `ssh ${word}`,
    status: 1,
    stderr: `Unable to proceed: could not find matching unit or machine: "${word}" is neither\n`,
  })),
  {
    name: "a global, named without a flag",
    line: "ssh g",
    status: 1,
    stderr: "Unable to proceed: g.service is global: name a machine\n",
  },
  {
    name: "no machine",
    line: "ssh -m 9",
    status: 1,
    stderr: 'Unable to proceed: machine does not exist: no ID begins with "9"\n',
  },
  {
    name: "several machines",
    line: "ssh -m 454c",
    status: 1,
    stderr: `Unable to proceed: found more than one machine: ${one}, ${two}\n`,
  },
  { name: "no unit", line: "ssh -u nosuch", status: 1, stderr: "Unable to proceed: unit does not exist\n" },
  {
    name: "a global",
    line: "ssh -u g",
    status: 1,
    stderr: "Unable to proceed: g.service is global: name a machine with --machine\n",
  },
  {
    name: "a unit that is nowhere",
    line: "ssh -u still",
    status: 1,
    stderr: "Could not determine address of machine.\n",
  },
  {
    name: "a machine without an address",
    line: "ssh -m 454c3",
    prepare: (api) => void (api.machines = [{ id: one }]),
    status: 1,
    stderr: "Could not determine address of machine.\n",
  },
  // ssh: what comes of it
  {
    name: "the exit status is the command's",
    line: "ssh a false",
    prepare: (_api, hosts) => hosts.statuses = [17],
    status: 17,
    ran: ["10.0.0.1: false"],
  },
  {
    name: "the exit status of a shell counts",
    line: "ssh a",
    prepare: (_api, hosts) => hosts.statuses = [17],
    status: 17,
    ran: ["10.0.0.1: (shell)"],
  },
  {
    name: "nobody lets us in",
    line: "ssh a",
    prepare: (_api, hosts) => hosts.refusal = "why",
    status: 1,
    stderr: "Failed building SSH client: why\n",
  },
  // status
  { name: "status runs there", line: "status a", ran: [`10.0.0.1: systemctl "status" "-l" "a.service"`] },
  {
    name: "status runs here without SSH",
    line: "status a",
    prepare: (_api, hosts) => hosts.machineId = one,
    ran: ["here: systemctl status -l a.service"],
  },
  {
    name: "status of several, a blank line between",
    line: "status a a",
    stdout: "\n",
    ran: [`10.0.0.1: systemctl "status" "-l" "a.service"`, `10.0.0.1: systemctl "status" "-l" "a.service"`],
  },
  {
    name: "status goes on behind one that does not run",
    line: "status a no a",
    prepare: (_api, hosts) => hosts.statuses = [3, 0],
    status: 3,
    stdout: "\n\n",
    stderr: "Unit no.service does not exist.\n",
    ran: [`10.0.0.1: systemctl "status" "-l" "a.service"`, `10.0.0.1: systemctl "status" "-l" "a.service"`],
  },
  {
    name: "status of a global, on every machine",
    line: "status g",
    prepare: (_api, hosts) => hosts.statuses = [3],
    status: 3,
    stdout: "g.service on 454c34ef.../10.0.0.1:\n\ng.service on 454c99ff.../10.0.0.2:\n",
    ran: [`10.0.0.1: systemctl "status" "-l" "g.service"`, `10.0.0.2: systemctl "status" "-l" "g.service"`],
  },
  { name: "status of no unit", line: "status no", status: 1, stderr: "Unit no.service does not exist.\n" },
  {
    name: "status of a unit that is nowhere",
    line: "status still",
    status: 1,
    stderr: "Unit still.service does not appear to be loaded.\n",
  },
  {
    name: "status where SSH fails",
    line: "status a",
    prepare: (_api, hosts) => hosts.refusal = "why",
    status: 255,
    stderr: "Unable to SSH to remote host: why\n",
  },
  {
    name: "status on a machine that has gone",
    line: "status a",
    prepare: (api) => void (api.machines = []),
    status: 1,
    stderr: `Error getting machine IP: machine ${one}: it is not in the cluster\n`,
  },
  // journal
  {
    name: "journal runs there",
    line: "journal a",
    ran: [`10.0.0.1: journalctl "--unit" "a.service" "--no-pager" "-n" "10" "--output" "short"`],
  },
  {
    name: "journal with every flag",
    line: "journal --sudo -f --lines=3 --output json --ssh-port 7 a",
    ran: [`10.0.0.1:7: sudo "journalctl" "--unit" "a.service" "--no-pager" "-n" "3" "--output" "json" "-f"`],
  },
  {
    name: "journal runs here without SSH",
    line: "journal a --f",
    prepare: (_api, hosts) => hosts.machineId = one,
    ran: ["here: journalctl --unit a.service --no-pager -n 10 --output short -f"],
  },
  {
    name: "journal on this machine, where units are on a user's systemd, is what the daemon says",
    line: "journal a",
    prepare: (api, hosts) => {
      hosts.machineId = one;
      api.journals.set("a.service", () => "from the user\n");
      api.intercept = (request) =>
        new URL(request.url).pathname === "/readyz"
          ? new Response("ok", { headers: { server: "fleetd/2.0.0 (user)" } })
          : undefined;
    },
    stdout: "from the user\n",
  },
  {
    name: "journal gives nothing to a shell to expand",
    line: 'journal --output $(reboot)`"\\ a',
    ran: [
      `10.0.0.1: journalctl "--unit" "a.service" "--no-pager" "-n" "10" "--output" "\\$(reboot)\\\`\\"\\\\"`,
    ],
  },
  {
    name: "journal of two of which one is unknown",
    line: "journal no a",
    status: 1,
    stdout: "-- no.service --\n\n-- a.service --\n",
    stderr: "Unit no.service does not exist.\n",
    ran: [`10.0.0.1: journalctl "--unit" "a.service" "--no-pager" "-n" "10" "--output" "short"`],
  },
  { name: "journal of no unit", line: "journal no", status: 1, stderr: "Unit no.service does not exist.\n" },
  {
    name: "journal of a unit that is nowhere",
    line: "journal still",
    status: 1,
    stderr: "Unit still.service does not appear to be running.\n",
  },
  {
    name: "journal of a global",
    line: "journal g",
    status: 1,
    stderr: "Unable to retrieve journal of global unit g.service.\nName one of its machines with --machine.\n",
  },
  {
    name: "journal of a global on one machine",
    line: "journal --machine 454c9 g",
    ran: [`10.0.0.2: journalctl "--unit" "g.service" "--no-pager" "-n" "10" "--output" "short"`],
  },
];

for (const { name, line, prepare, status = 0, stdout = "", stderr = "", ran = [] } of cases) {
  Deno.test(`on machines: ${name}`, async () => {
    const api = cluster();
    const hosts = new FakeHosts();
    prepare?.(api, hosts);
    const result = await fleetctl(api, line, new FakeIo(), hosts);
    assert.deepEqual({ ...result, ran: hosts.ran }, { status, stdout, stderr, ran });
  });
}

Deno.test("on machines: only ssh hands on its input, and lends the agent if told to", async () => {
  const hosts = new FakeHosts();
  for (const line of ["ssh -A a", "ssh a id", "status a"]) await fleetctl(cluster(), line, new FakeIo(), hosts);
  assert.deepEqual(hosts.attachments, [
    { input: true, forwardAgent: true },
    { input: true, forwardAgent: false },
    { input: false, forwardAgent: false },
  ]);
});

/** What the API tells of units on other machines. */
function telling(text: string): FakeApi {
  const api = cluster();
  api.intercept = (request, path) =>
    /\/(journal|status)$/.test(path) ? new Response(`${new URL(request.url).search}\n${text}`) : undefined;
  return api;
}

Deno.test("on machines: status and journal come from the API where it can tell", async () => {
  const hosts = new FakeHosts();
  const running = telling("   Active: active (running)\n");
  assert.deepEqual(await fleetctl(running, "status a", new FakeIo(), hosts), {
    status: 0,
    stdout: `?machineID=${one}\n   Active: active (running)\n`,
    stderr: "",
  });
  assert.equal((await fleetctl(telling("   Active: failed\n"), "status a", new FakeIo(), hosts)).status, 3);
  const { stdout } = await fleetctl(running, "journal --lines=3 --machine=454c9 g", new FakeIo(), hosts);
  assert.match(stdout, new RegExp(`^\\?machineID=${two}&lines=3&output=short\n`));
  assert.deepEqual(hosts.ran, []);
  for (const line of ["status --ssh a", "journal --ssh a", "journal --sudo a", "journal --ssh -f a"]) {
    await fleetctl(running, line, new FakeIo(), hosts);
  }
  assert.equal(hosts.ran.length, 4);
});
