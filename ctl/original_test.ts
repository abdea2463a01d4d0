/**
 * Our client against the behaviour of the original's, fleetctl 1.0: one test a row, named by command and situation. Where
 * the original's behaviour was a defect, the row says "fixed" and what holds instead.
 *
 * What needs real machines (keys, known_hosts, tunnels, terminals) is in `tests/e2e/ctl/ssh_test.ts`.
 */

import assert from "node:assert/strict";
import { runFleetctl } from "./cli/run.ts";
import { FakeApi, refusal } from "./testing/fake_api.ts";
import { FakeHosts } from "./testing/fake_remote.ts";
import { FakeIo, usageOf } from "./testing/fake_terminal.ts";
import type { Flags } from "./cli/argv.ts";
import { globalFlags } from "./cli/global_flags.ts";
import { DialError } from "./terminal/port.ts";
import { version } from "./version.ts";

const id = "454c34ef00000000000000000000cafe";
const other = "7e5f6a1b00000000000000000000beef";
const where = "454c34ef.../10.77.0.11";

interface Row {
  readonly row: string;
  readonly line: string;
  readonly env?: Record<string, string>;
  readonly prepare?: (stage: Stage) => void;
  readonly status?: number;
  readonly stdout?: string | RegExp;
  readonly stderr?: string | RegExp;
  /** What was changed in the cluster, as `PUT a.service launched`. */
  readonly writes?: readonly string[];
  /** What ran on machines. */
  readonly ran?: readonly string[];
}

/** A cluster of two machines and a directory of files. */
class Stage {
  readonly api = new FakeApi();
  readonly hosts = new FakeHosts();
  readonly io = new FakeIo();

  constructor() {
    this.api.machines = [
      { id, primaryIP: "10.77.0.11", metadata: { zone: "a", disk: "ssd" } },
      { id: other },
    ];
    for (const state of ["inactive", "loaded", "launched"]) {
      this.api.add(`${state}.service`, state, "Service.ExecStart=/bin/a");
    }
    this.api.add("global.service", "launched", "Service.ExecStart=/bin/a", "X-Fleet.Global=true");
    this.api.requests.length = 0;
    this.file("new.service", "/bin/a");
    this.file("t@.service", "/bin/a");
    for (const state of ["inactive", "loaded", "launched"]) this.file(`same/${state}.service`, "/bin/a");
    for (const state of ["inactive", "loaded", "launched"]) this.file(`other/${state}.service`, "/bin/b");
  }

  file(path: string, program: string, more = ""): void {
    this.io.files.set(path, `[Service]\nExecStart=${program}\n${more}`);
  }

  async run(line: string, env: Record<string, string> = {}): Promise<{ status: number; flags?: Flags }> {
    let seen: Flags | undefined;
    const status = await runFleetctl(line.split(" ").filter((word) => word !== ""), env, {
      io: () => this.io,
      hosts: () => this.hosts,
      client: (flags) => {
        seen = flags;
        return Promise.resolve(this.api.client());
      },
    });
    return { status, ...(seen ? { flags: seen } : {}) };
  }
}

/** The cluster is told, and does nothing. */
const asleep = ({ api }: Stage) => {
  api.onDesiredState = () => {};
  api.onDelete = () => {};
};

/** Everything that changes the cluster is refused. */
const refusing = ({ api }: Stage) => {
  api.intercept = ({ method }) => method === "GET" ? undefined : refusal(503, "away");
};

/** Nothing is answered. */
const away = ({ api }: Stage) => {
  api.intercept = () => refusal(503, "away");
};

const usage = /^NAME:\n\tfleetctl - [^]*\nUSAGE:\n[^]*\nVERSION:\n[^]*\nCOMMANDS:\n[^]*\nOPTIONS:\n/;
const startUsage = /^NAME:\n\tstart - [^]*\nUSAGE:\n[^]*\nDESCRIPTION:\n[^]*\nOPTIONS:\n[^]*\nGLOBAL OPTIONS:\n/;
const differs = (name: string) =>
  `WARNING: Unit ${name} in registry differs from local unit file other/${name}. Add --replace to override.\n`;
const cannotReplace = (state: string) =>
  `Warning: can not replace Unit(${state}.service) in state '${state}', use the appropriate command: ` +
  `fleetctl ${state === "launched" ? "start" : "load"} --replace\n`;
const unknown = (word: string, ...similar: string[]) =>
  `Error: unknown command "${word}" for "fleetctl"` +
  (similar.length > 0 ? `; did you mean ${similar.join(" or ")}?` : "") + "\nRun 'fleetctl --help' for usage.\n";

const invocation: Row[] = [
  ...["", "help", "--help", "--h", "-h"].map((line) => ({ row: `"${line}" is usage, exit 0`, line, stdout: usage })),
  { row: "help CMD", line: "help start", stdout: startUsage },
  {
    row: "help nosuch (fixed: exit 2)",
    line: "help nosuch",
    status: 2,
    stderr: "Unknown help topic [`nosuch`].\nRun 'fleetctl --help' for usage.\n",
  },
  ...["--version", "-v", "version"].map((line) => ({
    row: `"${line}" is the version`,
    line,
    stdout: `fleetctl version ${version}\n`,
  })),
  { row: "--version behind another flag is usage", line: "--endpoint X --version", stdout: usage },
  { row: "unique prefixes of command names", line: "list-m --no-legend --fields=ip", stdout: "10.77.0.11\n-\n" },
  {
    row: "ambiguous prefixes are unknown (fixed: exit 2)",
    line: "list-u",
    status: 2,
    stderr: unknown("list-u", "list-unit-files", "list-units"),
  },
  { row: "unknown command (fixed: exit 2)", line: "frobnicate", status: 2, stderr: unknown("frobnicate") },
  {
    row: "bad flags (fixed: exit 2)",
    line: "start --x a",
    status: 2,
    stderr: "Error: unknown flag: --x\n" + usageOf("start"),
  },
  {
    row: "status --no-block is a bad flag, exit 0 (fixed: does nothing)",
    line: "status --no-block launched",
    ran: [`10.77.0.11: systemctl "status" "-l" "launched.service"`],
  },
  {
    row: "flags anywhere",
    line: "--no-legend list-units --fields unit",
    stdout: "loaded.service\nlaunched.service\nglobal.service\n",
  },
  { row: "-- ends flags", line: "ssh 454c -- ls -l", ran: ["10.77.0.11: ls -l"] },
  { row: "-l (fixed: accepted)", line: "list-machines -l --no-legend --fields=machine", stdout: `${id}\n${other}\n` },
  { row: "--l", line: "list-machines --l --no-legend --fields=machine", stdout: `${id}\n${other}\n` },
  {
    row: "-full (fixed: accepted)",
    line: "list-machines -full -no-legend -fields=machine",
    stdout: `${id}\n${other}\n`,
  },
  { row: "-A (fixed: accepted)", line: "ssh -A launched true", ran: ["10.77.0.11: true"] },
  { row: "--A", line: "ssh --A launched true", ran: ["10.77.0.11: true"] },
  {
    row: "-f (fixed: accepted)",
    line: "journal -f launched",
    ran: [`10.77.0.11: journalctl "--unit" "launched.service" "--no-pager" "-n" "10" "--output" "short" "-f"`],
  },
];

const arguments_: Row[] = [
  { row: "foo.1 is foo.1.service", line: "cat foo.1", status: 1, stderr: "Unit foo.1.service not found\n" },
  { row: "dir/foo.socket is foo.socket", line: "cat dir/foo.socket", status: 1, stderr: "Unit foo.socket not found\n" },
  ...["stop", "unload", "destroy"].map((command) => ({
    row: `${command}: none of the units is there (fixed: names them${command === "destroy" ? "" : ", exit 1"})`,
    line: `${command} x lanched`,
    status: command === "destroy" ? 0 : 1,
    stderr: "Unit x.service is not in the cluster\n" +
      "Unit lanched.service is not in the cluster (did you mean launched.service?)\n",
  })),
  {
    row: "stop: unknown names are skipped silently (fixed: named, exit 1)",
    line: "stop x launched",
    status: 1,
    stdout: `Unit launched.service loaded on ${where}\n`,
    stderr: "Unit x.service is not in the cluster\nSuccessfully stopped units [launched.service].\n",
  },
  {
    row: "creating: content from the local file, PUT, then inactive",
    line: "submit new.service",
    stdout: "Unit new.service inactive\n",
    writes: ["PUT new.service"],
  },
  {
    row: "creating a global: a trailing space",
    line: "submit g.service",
    prepare: (stage) => stage.file("g.service", "/bin/a", "[X-Fleet]\nGlobal=true\n"),
    stdout: "Unit g.service \n",
  },
  {
    row: "creating: content from the template in the registry",
    line: "submit far/r@1",
    prepare: ({ api }) => api.add("r@.service", "inactive", "Service.ExecStart=/bin/r"),
    stdout: "Unit r@1.service inactive\n",
    writes: ["PUT r@1.service"],
  },
  {
    row: "creating: content from the template file beside it",
    line: "submit t@1",
    stdout: "Unit t@1.service inactive\n",
  },
  {
    row: "creating: unknown X-Fleet keys (fixed: refused, or a warning with --allow-unknown)",
    line: "submit --allow-unknown k.service",
    prepare: (stage) => stage.file("k.service", "/bin/a", "[X-Fleet]\nWibble=1\n"),
    stdout: "Unit k.service inactive\n",
    stderr: `WARN Unit k.service: unrecognized requirement in [X-Fleet] section: "Wibble" (k.service:4)\n`,
  },
  {
    row: "registry differs, no --replace",
    line: "start other/inactive.service",
    stdout: `Unit inactive.service launched on ${where}\n`,
    stderr: differs("inactive.service"),
    writes: ["PUT inactive.service launched"],
  },
  {
    row: "registry template used but local differs",
    line: "submit t@1",
    prepare: ({ api }) => api.add("t@.service", "inactive", "Service.ExecStart=/bin/r"),
    stdout: "Unit t@1.service inactive\n",
    stderr: "WARNING: Unit t@.service in registry differs from local template unit file t@1.service. " +
      "Add --replace to override.\n",
  },
  {
    row: "registry template and --replace (fixed: the local one wins, and replaces the template)",
    line: "submit --replace t@1",
    prepare: ({ api }) => api.add("t@.service", "inactive", "Service.ExecStart=/bin/r"),
    stdout: "Unit t@1.service inactive\nUnit t@.service inactive\n",
  },
  {
    row: "nothing found",
    line: "submit nosuch",
    status: 1,
    stderr: "Error creating units: nosuch.service: no such file in this directory and no such unit in the cluster\n",
  },
  {
    row: "instance, no template",
    line: "start dir/a@1",
    status: 1,
    stderr: "Error creating units: a@1.service: no such file in dir/ and no such unit in the cluster, " +
      "and neither has its template a@.service\n",
  },
  {
    row: "unparsable",
    line: "load bad.service",
    prepare: ({ io }) => io.files.set("bad.service", "[Service\n"),
    status: 1,
    stderr: "Error creating units: failed getting Unit(bad.service) from file: line 1: " +
      "unable to find end of section: ] is missing\n",
  },
  {
    row: "API refusal",
    line: "submit new.service",
    prepare: refusing,
    status: 1,
    stderr: "Error creating units: failed creating unit new.service: googleapi: Error 503: away\n",
  },
  {
    row: "--replace, identical",
    line: "start --replace same/launched.service",
    stdout: "Found same Unit(launched.service) in Registry, nothing to do\n",
    writes: [],
  },
  ...[
    ["submit", "inactive", ""],
    ["load", "inactive", " loaded"],
    ["load", "loaded", " loaded"],
    ["start", "inactive", " launched"],
    ["start", "loaded", " launched"],
    ["start", "launched", " launched"],
  ].map(([command, state, wanted]) => ({
    row: `${command} --replace of a unit wanted ${state}`,
    line: `${command} --replace other/${state}.service`,
    stdout: `Unit ${state}.service inactive\n` + (wanted ? `Unit ${state}.service${wanted} on ${where}\n` : ""),
    writes: [`PUT ${state}.service${wanted}`],
  })),
  ...[["submit", "loaded"], ["submit", "launched"]].map(([command, state]) => ({
    row: `${command} --replace of a unit wanted ${state}: not replaced (fixed: exit 1)`,
    line: `${command} --replace other/${state}.service`,
    status: 1,
    stderr: cannotReplace(state!),
    writes: [],
  })),
  {
    row: "load --replace of a unit wanted launched: goes on with the old content (fixed: exit 1)",
    line: "load --replace other/launched.service",
    status: 1,
    stdout: `Unit launched.service loaded on ${where}\n`,
    stderr: cannotReplace("launched"),
    writes: ["PUT launched.service loaded"],
  },
  {
    row: "--replace without a local file",
    line: "start --replace launched",
    status: 1,
    stderr: "Error creating units: unable to replace Unit(launched.service): " +
      "no local unit file launched.service, nor one of its template\n",
  },
  {
    row: "--replace with an abbreviated command name (fixed: works)",
    line: "sub --replace other/inactive.service",
    stdout: "Unit inactive.service inactive\n",
  },
];

const blocking: Row[] = [
  {
    row: "--block-attempts=N: 2 s each",
    line: "load --block-attempts=1 inactive",
    prepare: asleep,
    status: 1,
    stderr: "Error waiting for units: timed out waiting for unit inactive.service to report state loaded\n",
  },
  {
    row: "--no-block overrides --block-attempts",
    line: "start --no-block --block-attempts=1 inactive",
    prepare: asleep,
    stdout: "Triggered unit inactive.service start\n",
  },
  ...[["start", "inactive", "start"], ["load", "inactive", "load"]].map(([command, name, verb]) => ({
    row: `${command} --no-block`,
    line: `${command} --no-block ${name}`,
    prepare: asleep,
    stdout: `Triggered unit ${name}.service ${verb}\n`,
  })),
  ...["stop", "unload"].map((command) => ({
    row: `${command} --no-block (fixed: claims no success)`,
    line: `${command} --no-block launched`,
    prepare: asleep,
    stdout: `Triggered unit launched.service ${command}\n`,
  })),
  {
    row: "globals never block",
    line: "stop global",
    prepare: asleep,
    stdout: "Triggered global unit global.service stop\n",
    stderr: "Successfully stopped units [].\n",
  },
  { row: "units already in the desired state print nothing", line: "start launched", writes: [] },
];

const commands: Row[] = [
  ...["submit", "load", "start", "stop", "unload", "restart", "destroy"].map((line) => ({
    row: `${line} without units (fixed: exit 2)`,
    line,
    status: 2,
    stderr: "No units given\n" + usageOf(line),
  })),
  {
    row: "submit: create only",
    line: "submit new.service",
    stdout: "Unit new.service inactive\n",
    writes: ["PUT new.service"],
  },
  {
    row: "--sign (fixed: warned of)",
    line: "submit --sign new.service",
    stdout: "Unit new.service inactive\n",
    stderr: "WARNING: The signed/verified units feature is DEPRECATED and cannot be used.\n",
  },
  {
    row: "load: create, wait loaded",
    line: "load new.service",
    stdout: `Unit new.service inactive\nUnit new.service loaded on ${where}\n`,
  },
  {
    row: "load on a launched unit stops it",
    line: "load launched",
    stdout: `Unit launched.service loaded on ${where}\n`,
  },
  {
    row: "load: a failure",
    line: "load inactive",
    prepare: refusing,
    status: 1,
    stderr: "Error loading units: googleapi: Error 503: away\n",
  },
  {
    row: "start: create, wait launched",
    line: "start new.service",
    stdout: `Unit new.service inactive\nUnit new.service launched on ${where}\n`,
  },
  {
    row: "start: a oneshot (fixed: exit 0)",
    line: "start inactive",
    prepare: ({ api }) =>
      api.onDesiredState = (name) => {
        api.units.get(name)!.machineID = id;
        api.units.get(name)!.currentState = "launched";
        api.publishUnit(name);
        api.reportState(name, "activating", "start");
        api.reportState(name, "inactive", "dead");
      },
    stdout: `Unit inactive.service launched on ${where}\n`,
  },
  {
    row: "start: a failing unit (fixed: says how)",
    line: "start loaded",
    prepare: ({ api }) =>
      api.onDesiredState = (name) => {
        api.units.get(name)!.currentState = "launched";
        api.publishUnit(name);
        api.reportState(name, "activating", "start");
        api.reportState(name, "failed", "failed", "exit-code");
      },
    status: 1,
    stdout: `Unit loaded.service launched on ${where}\n`,
    stderr: /^Error waiting for units: unit loaded\.service failed: .*: exit-code\n/,
  },
  {
    row: "start --no-block: the Triggered line (fixed: once)",
    line: "start --no-block inactive",
    stdout: "Triggered unit inactive.service start\n",
  },
  {
    row: "start: a template",
    line: "start t@.service",
    status: 1,
    stdout: "Unit t@.service inactive\n",
    stderr: `Error starting units: googleapi: Error 400: cannot activate template "t@.service"\n`,
  },
  {
    row: "stop: inactive (fixed: the others are stopped)",
    line: "stop inactive launched",
    status: 1,
    stdout: `Unit launched.service loaded on ${where}\n`,
    stderr: "Unable to stop unit inactive.service in state inactive\n" +
      "Successfully stopped units [launched.service].\n",
    writes: ["PUT launched.service loaded"],
  },
  { row: "stop: loaded is skipped", line: "stop loaded", stderr: "Successfully stopped units [].\n", writes: [] },
  {
    row: "stop: launched",
    line: "stop launched",
    stdout: `Unit launched.service loaded on ${where}\n`,
    stderr: "Successfully stopped units [launched.service].\n",
  },
  {
    row: "stop: a failure",
    line: "stop launched",
    prepare: refusing,
    status: 1,
    stderr: "Failed to stop units [launched.service]. err: googleapi: Error 503: away\n",
  },
  {
    row: "unload",
    line: "unload loaded launched",
    stdout: "Unit loaded.service inactive\nUnit launched.service inactive\n",
    stderr: "Successfully unloaded units [loaded.service launched.service].\n",
  },
  {
    row: "unload: a failure",
    line: "unload launched",
    prepare: refusing,
    status: 1,
    stderr: "Failed to unload units [launched.service]. err: googleapi: Error 503: away\n",
  },
  {
    row: "restart: absent units are created but not started",
    line: "restart new.service",
    stdout: "Unit new.service inactive\n",
    writes: ["PUT new.service"],
  },
  {
    row: "restart: a missing file",
    line: "restart nosuch",
    status: 1,
    stderr: "Error creating units: nosuch.service: no such file in this directory and no such unit in the cluster\n",
  },
  {
    row: "restart: inactive (fixed: exit 1)",
    line: "restart inactive",
    status: 1,
    stderr: "Unable to restart unit inactive.service in state inactive\n",
    writes: [],
  },
  {
    row: "restart: loaded is started",
    line: "restart loaded",
    stdout: `Unit loaded.service launched on ${where}\n`,
    stderr: "INFO Unit(loaded.service) already loaded, starting.\n",
  },
  {
    row: "restart: launched (fixed: restarts)",
    line: "restart launched",
    stdout: `Unit launched.service launched on ${where}\n`,
    stderr: "INFO Unit(launched.service) was restarted.\n",
    writes: ["POST launched.service/restart"],
  },
  {
    row: "restart: globals (fixed: everywhere)",
    line: "restart global",
    stdout: "Triggered global unit global.service restart\n",
    writes: ["POST global.service/restart"],
  },
  {
    row: "destroy",
    line: "destroy launched inactive",
    stdout: "Destroyed launched.service\nDestroyed inactive.service\n",
    writes: ["DELETE launched.service", "DELETE inactive.service"],
  },
  {
    row: "destroy: a concurrent 404 is ignored",
    line: "destroy launched",
    prepare: ({ api }) => api.intercept = ({ method }) => method === "DELETE" ? refusal(404, "gone") : undefined,
  },
  {
    row: "destroy: other errors",
    line: "destroy launched",
    prepare: refusing,
    status: 1,
    stderr: "Error destroying units: googleapi: Error 503: away\n",
  },
  {
    row: "destroy --no-block (fixed: does not wait)",
    line: "destroy --no-block launched",
    prepare: asleep,
    stdout: "Destroyed launched.service\n",
  },
  { row: "cat", line: "cat launched", stdout: "[Service]\nExecStart=/bin/a\n" },
  {
    row: "cat: no unit (fixed: exit 2)",
    line: "cat",
    status: 2,
    stderr: "One unit file must be provided\n" + usageOf("cat"),
  },
  {
    row: "cat: more than one (fixed: all)",
    line: "cat launched loaded",
    stdout: "# launched.service\n[Service]\nExecStart=/bin/a\n\n# loaded.service\n[Service]\nExecStart=/bin/a\n",
  },
  { row: "cat: unknown", line: "cat x", status: 1, stderr: "Unit x.service not found\n" },
  {
    row: "status without units (fixed: exit 2)",
    line: "status",
    status: 2,
    stderr: "No units given\n" + usageOf("status"),
  },
  {
    row: "status: a blank line between, the first exit code that is not 0 (fixed: the others are shown)",
    line: "status launched loaded inactive",
    prepare: ({ hosts }) => hosts.statuses = [0, 3],
    status: 3,
    stdout: "\n\n",
    stderr: "Unit inactive.service does not appear to be loaded.\n",
    ran: ["launched", "loaded"].map((name) => `10.77.0.11: systemctl "status" "-l" "${name}.service"`),
  },
  { row: "status: unknown", line: "status x", status: 1, stderr: "Unit x.service does not exist.\n" },
  {
    row: "status: not loaded",
    line: "status inactive",
    status: 1,
    stderr: "Unit inactive.service does not appear to be loaded.\n",
  },
  {
    row: "status: globals (fixed: on every machine)",
    line: "status global",
    stdout: `global.service on ${where}:\n`,
    ran: [`10.77.0.11: systemctl "status" "-l" "global.service"`],
  },
  {
    row: "status --ssh-port",
    line: "status --ssh-port=2222 launched",
    ran: [`10.77.0.11:2222: systemctl "status" "-l" "launched.service"`],
  },
  {
    row: "journal without a unit (fixed: exit 2)",
    line: "journal",
    status: 2,
    stderr: "One unit file must be provided.\n" + usageOf("journal"),
  },
  {
    row: "journal: every flag, and its exit code",
    line: "journal --lines=3 --follow --sudo --output=cat --ssh-port=7 launched",
    prepare: ({ hosts }) => hosts.statuses = [4],
    status: 4,
    ran: [`10.77.0.11:7: sudo "journalctl" "--unit" "launched.service" "--no-pager" "-n" "3" "--output" "cat" "-f"`],
  },
  { row: "journal: unknown", line: "journal x", status: 1, stderr: "Unit x.service does not exist.\n" },
  {
    row: "journal: global (and what to do)",
    line: "journal global",
    status: 1,
    stderr: "Unable to retrieve journal of global unit global.service.\nName one of its machines with --machine.\n",
  },
  {
    row: "journal: not running",
    line: "journal inactive",
    status: 1,
    stderr: "Unit inactive.service does not appear to be running.\n",
  },
  {
    row: "fd-forward without a socket (fixed: exit 2)",
    line: "fd-forward",
    status: 2,
    stderr: "Provide a single argument\n" + usageOf("fd-forward"),
  },
  {
    row: "fd-forward: a dial failure (fixed: exit 1)",
    line: "fd-forward /x",
    prepare: ({ io }) => io.forward = () => Promise.reject(new DialError("no such file")),
    status: 1,
    stderr: "Failed dialing remote address: no such file\n",
  },
  {
    row: "verify (fixed: checks unit files, instead of saying that it no longer works)",
    line: "verify --no-legend launched",
    status: 1,
    stdout: "launched\t-\terror\tfleet\tno such file as launched.service\n",
  },
];

const lists: Row[] = [
  {
    row: "list-machines: machine, ip, metadata (sorted)",
    line: "list-machines",
    stdout: "MACHINE\t\tIP\t\tMETADATA\n454c34ef...\t10.77.0.11\tdisk=ssd,zone=a\n7e5f6a1b...\t-\t\t-\n",
  },
  {
    row: "list-units: unit, machine, active, sub",
    line: "list-units",
    stdout: "UNIT\t\t\tMACHINE\t\t\tACTIVE\t\tSUB\n" +
      `loaded.service\t\t${where}\tinactive\tdead\n` +
      `launched.service\t${where}\tactive\t\trunning\n` +
      `global.service\t\t${where}\tactive\t\trunning\n`,
  },
  {
    row: "list-units: load, hash (7 characters)",
    line: "list-units --no-legend --fields=load,hash",
    stdout: /^(loaded\t[0-9a-f]{7}\n){3}$/,
  },
  {
    row: "list-units: hash in full",
    line: "list-units --no-legend --full --fields=hash,machine",
    stdout: new RegExp(`^([0-9a-f]{40}\t${id}/10\\.77\\.0\\.11\n){3}$`),
  },
  {
    row: "list-unit-files: unit, hash, dstate, state, target",
    line: "list-unit-files",
    stdout:
      /^UNIT\t+HASH\t+DSTATE\t+STATE\t+TARGET\ninactive\.service\t[0-9a-f]{7}\tinactive\tinactive\t-\n[^]*global\.service\t+[0-9a-f]{7}\tlaunched\t-\t+global\n$/,
  },
  {
    row: "list-unit-files: desc, global",
    line: "list-unit-files --no-legend --fields=desc,global",
    stdout: "-\tfalse\n-\tfalse\n-\tfalse\n-\ttrue\n",
  },
  {
    row: "list-unit-files: tmachine",
    line: "list-unit-files --no-legend --fields=tmachine",
    stdout: `-\n${where}\n${where}\nglobal\n`,
    stderr: 'WARNING: The "tmachine" field is deprecated. Use "target" instead\n',
  },
  ...["list-machines", "list-units", "list-unit-files"].flatMap((command) => [
    { row: `${command} --fields=`, line: `${command} --fields=`, status: 1, stderr: "Must define output format\n" },
    {
      row: `${command}: an unknown field`,
      line: `${command} --fields=x`,
      status: 1,
      stderr: 'Invalid key in output format: "x"\n',
    },
  ]),
  ...["list-units", "list-unit-files"].map((line) => ({
    row: `${line}: API failure`,
    line,
    prepare: away,
    status: 1,
    stderr: "Error retrieving list of units from repository: googleapi: Error 503: away\n",
  })),
  {
    row: "list-machines: API failure (fixed: blames etcd only where the server does)",
    line: "list-machines",
    prepare: away,
    status: 1,
    stderr: "Error retrieving list of active machines from fleet API (googleapi: Error 503: away)\n",
  },
  {
    row: "list-machines: etcd is away",
    line: "list-machines",
    prepare: ({ api }) => api.intercept = () => refusal(503, "fleet server unable to communicate with etcd"),
    status: 1,
    stderr: "Error retrieving list of active machines from fleet API " +
      "(googleapi: Error 503: fleet server unable to communicate with etcd)\nPossible issues:\n" +
      "  etcd is unhealthy and/or lost quorum\n  connection cannot be established to any etcd servers\n",
  },
  {
    row: "API errors without a message",
    line: "cat launched",
    prepare: ({ api }) => api.intercept = () => new Response("<html>", { status: 502 }),
    status: 1,
    stderr: "Error retrieving Unit launched.service: googleapi: got HTTP response code 502 with body: <html>\n",
  },
];

const refused = (reason: string) => ({ status: 1, stderr: `Unable to proceed: ${reason}\n` });

const ssh: Row[] = [
  {
    row: "without a target (fixed: exit 2)",
    line: "ssh",
    status: 2,
    stderr: "Unable to proceed: one machine or unit must be provided\n" + usageOf("ssh"),
  },
  { row: "--machine (ID prefix)", line: "ssh --machine 454c id", ran: ["10.77.0.11: id"] },
  { row: "--unit", line: "ssh --unit launched id", ran: ["10.77.0.11: id"] },
  {
    row: "--machine and --unit",
    line: "ssh --machine 454c --unit launched",
    status: 1,
    stderr: "Both machine and unit flags provided, please specify only one.\n",
  },
  { row: "the first argument as machine prefix", line: "ssh 454c id", ran: ["10.77.0.11: id"] },
  { row: "the first argument as unit", line: "ssh launched id", ran: ["10.77.0.11: id"] },
  {
    row: "both match",
    line: "ssh 454c",
    prepare: ({ api }) => api.add("454c.service", "launched", "Service.ExecStart=/bin/a"),
    status: 1,
    stderr: "Unable to proceed: ambiguous argument, both machine and unit found for `454c`.\n" +
      "Please use flag `-m` or `-u` to refine the search\n",
  },
  { row: "neither matches", line: "ssh x", ...refused('could not find matching unit or machine: "x" is neither') },
  {
    row: "neither matches, a misspelled unit (fixed: the unit that was probably meant)",
    line: "ssh lanched",
    ...refused('could not find matching unit or machine: "lanched" is neither (did you mean launched.service?)'),
  },
  { row: "a global unit (fixed: says so)", line: "ssh global", ...refused("global.service is global: name a machine") },
  {
    row: "--machine: none",
    line: "ssh --machine x",
    ...refused('machine does not exist: no ID begins with "x"'),
  },
  {
    row: "--machine: several",
    line: "ssh --machine 4",
    prepare: ({ api }) => void (api.machines = [{ id }, { id: "4" + other.slice(1) }]),
    ...refused(`found more than one machine: ${id}, 4${other.slice(1)}`),
  },
  { row: "--unit: none", line: "ssh --unit x", ...refused("unit does not exist") },
  {
    row: "--unit: a misspelled one (fixed: the unit that was probably meant)",
    line: "ssh --unit lanched",
    ...refused("unit does not exist (did you mean launched.service?)"),
  },
  {
    row: "--unit: global",
    line: "ssh --unit global",
    ...refused("global.service is global: name a machine with --machine"),
  },
  { row: "no IP", line: "ssh 7e5f", status: 1, stderr: "Could not determine address of machine.\n" },
  { row: "words are joined by spaces", line: "ssh launched echo a b", ran: ["10.77.0.11: echo a b"] },
  {
    row: "exit code is the remote code",
    line: "ssh launched false",
    prepare: ({ hosts }) => hosts.statuses = [9],
    status: 9,
    ran: ["10.77.0.11: false"],
  },
  {
    row: "an interactive shell: exit 0 whatever happens inside (fixed: its exit code)",
    line: "ssh launched",
    prepare: ({ hosts }) => hosts.statuses = [9],
    status: 9,
    ran: ["10.77.0.11: (shell)"],
  },
  {
    row: "the login fails",
    line: "ssh launched",
    prepare: ({ hosts }) => hosts.refusal = "SSH_AUTH_SOCK environment variable is not set.",
    status: 1,
    stderr: "Failed building SSH client: SSH_AUTH_SOCK environment variable is not set.\n",
  },
  {
    row: "status on this machine: without SSH",
    line: "status launched",
    prepare: ({ hosts }) => hosts.machineId = id,
    ran: ["here: systemctl status -l launched.service"],
  },
  {
    row: "journal on this machine: without SSH",
    line: "journal launched",
    prepare: ({ hosts }) => hosts.machineId = id,
    ran: ["here: journalctl --unit launched.service --no-pager -n 10 --output short"],
  },
  {
    row: "status: SSH failure",
    line: "status launched",
    prepare: ({ hosts }) => hosts.refusal = "why",
    status: 255,
    stderr: "Unable to SSH to remote host: why\n",
  },
  {
    row: "status: the machine is not found (fixed: exit 1, and why)",
    line: "status launched",
    prepare: ({ api }) => void (api.machines = []),
    status: 1,
    stderr: `Error getting machine IP: machine ${id}: it is not in the cluster\n`,
  },
];

const sections: Record<string, readonly Row[]> = {
  "1 invocation": invocation,
  "3 unit arguments": arguments_,
  "4 blocking": blocking,
  "5 commands": commands,
  "6 lists": lists,
  "7 SSH": ssh,
};

function same(actual: string, expected: string | RegExp): void {
  expected instanceof RegExp ? assert.match(actual, expected) : assert.equal(actual, expected);
}

/** What changed the cluster, in short. */
function writesOf({ writes }: FakeApi): string[] {
  return writes.map((request) => {
    const [, method, path, body] = /^(\w+) \/units\/(\S+)(?: (.*))?$/.exec(request) ?? [];
    const { desiredState = "" } = JSON.parse(body ?? "{}") as { desiredState?: string };
    return `${method} ${path} ${desiredState}`.trim();
  });
}

for (const [section, rows] of Object.entries(sections)) {
  for (const { row, line, env, prepare, status = 0, stdout = "", stderr = "", writes, ran = [] } of rows) {
    Deno.test(`as fleetctl 1.0: ${section}: ${row}`, async () => {
      const stage = new Stage();
      prepare?.(stage);
      const result = await stage.run(line, env);
      same(stage.io.stderr, stderr);
      same(stage.io.stdout, stdout);
      assert.equal(result.status, status);
      if (writes) assert.deepEqual(writesOf(stage.api), writes);
      assert.deepEqual(stage.hosts.ran, ran);
    });
  }
}

/** Section 2: a global flag, what it is without being given, and another value of it. */
const flags: readonly [name: string, fallback: string | number | boolean, given: string][] = [
  ["endpoint", "unix:///var/run/fleet.sock", "http://a"],
  ["driver", "API", "etcd"],
  ["etcd-key-prefix", "/_coreos.com/fleet/", "/x/"],
  ["request-timeout", 3, "7.5"],
  ["key-file", "", "k"],
  ["cert-file", "", "c"],
  ["ca-file", "", "ca"],
  ["tunnel", "", "host:2222"],
  ["ssh-username", "core", "anna"],
  ["ssh-timeout", 10, "2"],
  ["known-hosts-file", "~/.fleetctl/known_hosts", "~/hosts"],
  ["strict-host-key-checking", true, "false"],
  ["debug", false, "true"],
  ["experimental-api", true, "false"],
];

function valueOf(flags: Flags | undefined, name: string): string | number | boolean | undefined {
  const { kind } = globalFlags.find((spec) => spec.name === name)!;
  return kind === "switch" ? flags?.on(name) : kind === "text" ? flags?.text(name) : flags?.number(name);
}

for (const [name, fallback, given] of flags) {
  Deno.test(`as fleetctl 1.0: 2 global flags: ${name}`, async () => {
    const variable = `FLEETCTL_${name.toUpperCase().replaceAll("-", "_")}`;
    const seen = async (line: string, env: Record<string, string>) =>
      valueOf((await new Stage().run(line, env)).flags, name);
    const value = typeof fallback === "number"
      ? Number(given)
      : typeof fallback === "boolean"
      ? given === "true"
      : given;
    assert.notEqual(value, fallback);
    assert.equal(await seen("list-units", {}), fallback);
    assert.equal(await seen("list-units", { [variable]: "" }), fallback);
    assert.equal(await seen("list-units", { [variable]: given }), value);
    assert.equal(await seen(`list-units --${name}=${given}`, { [variable]: `${fallback}` }), value);
  });
}

for (
  const [alias, name] of [["etcd-keyfile", "key-file"], ["etcd-certfile", "cert-file"], ["etcd-cafile", "ca-file"]]
) {
  Deno.test(`as fleetctl 1.0: 2 global flags: ${alias}`, async () => {
    const variable = `FLEETCTL_${alias!.toUpperCase().replaceAll("-", "_")}`;
    assert.equal((await new Stage().run(`--${alias}=x list-units`)).flags?.text(name!), "x");
    assert.equal((await new Stage().run("list-units", { [variable]: "x" })).flags?.text(name!), "x");
  });
}

Deno.test("as fleetctl 1.0: 2 global flags: flags of commands have no variable", async () => {
  const stage = new Stage();
  await stage.run("list-machines --fields=ip", { FLEETCTL_NO_LEGEND: "true" });
  assert.match(stage.io.stdout, /^IP\n/);
});

Deno.test("as fleetctl 1.0: 2 global flags: requests carry alt=json", async () => {
  for (const line of ["list-machines", "list-units", "cat launched", "stop launched", "destroy launched"]) {
    const stage = new Stage();
    const queries: string[] = [];
    stage.api.intercept = ({ url }, path) => void (path === "/events" || queries.push(new URL(url).search));
    await stage.run(line);
    assert.ok(queries.length > 0 && queries.every((query) => query.includes("alt=json")), `${line}: ${queries}`);
  }
});
