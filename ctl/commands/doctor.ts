import { commandLine } from "../../runtime/command_line.ts";
import type { LossEntity, MachineEntity } from "../../daemon/api/v1/types.ts";
import { ApiError, type Health } from "../api/client.ts";
import { earliestExpiry, gradeExpiry } from "../api/certificate_expiry.ts";
import { switchFlag } from "../cli/argv.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { type Io, printLine, reasonOf } from "../terminal/port.ts";
import { formatOf, outputFlag } from "../output/list.ts";
import { machineIdLegend, machineLegend } from "../machines/format.ts";
import { sshPortFlag, sshPortOf } from "../machines/select.ts";
import { version } from "../../runtime/version.ts";

/** `fleetctl doctor`: checks the connection to the cluster and its machines, with a remedy for each failure. */
export const doctor: Command = {
  name: "doctor",
  isNew: true,
  takesNothing: true,
  group: "cluster",
  summary: "Check the connection to the cluster and its machines",
  usage: "doctor [--no-ssh] [--ssh-port=N] [--output=json]",
  description:
    `Checks certificates, the endpoint, the store behind it, versions and clocks, and logs in to every machine.
Each line begins with ok, warn or FAIL; a line below it says what to do. The exit status is 1 if a check
fails.`,
  examples: [
    { title: "Check everything", line: "fleetctl doctor" },
    { title: "Check without logging in to machines", line: "fleetctl doctor --no-ssh" },
    {
      title: "Print failed checks only",
      line: "fleetctl doctor --output=json | jq '.[] | select(.grade == \"FAIL\")'",
    },
  ],
  flags: [
    switchFlag("no-ssh", "Do not log in to the machines"),
    outputFlag("FORMAT", "Print text or json", "text", ["text", "json"]),
    sshPortFlag,
  ],
  async run(context) {
    const { io } = context;
    const format = formatOf(context, ["text", "json"]);
    const findings = [...await checkCertificates(context), ...await checkServer(context)];
    if (format === "json") io.out(JSON.stringify(findings, undefined, 2) + "\n");
    else for (const finding of findings) printFinding(io, finding);
    return findings.some(({ grade }) => grade === "FAIL") ? exitFailure : 0;
  },
};

/** The result of one check. */
interface Finding {
  readonly grade: "ok" | "warn" | "FAIL";
  readonly check: "certificate" | "endpoint" | "version" | "clock" | "store" | "permission" | "machines" | "ssh";
  readonly result: string;
  /** A sentence that says how to repair it. */
  readonly remedy?: string;
}

function finding(grade: Finding["grade"], check: Finding["check"], result: string, remedy?: string): Finding {
  return { grade, check, result, ...(remedy === undefined ? {} : { remedy }) };
}

function printFinding(io: Io, { grade, check, result, remedy }: Finding): void {
  const color = { ok: 32, warn: 33, FAIL: 31 }[grade];
  const text = grade.padEnd(6);
  printLine(io, `${io.color ? `\x1b[${color}m${text}\x1b[0m` : text} ${check}: ${result}`);
  if (remedy) printLine(io, `       ${remedy}`);
}

/** Largest difference of clocks that keeps merged journals in order. */
const clockTolerance_ms = 5000;

/** Checks the certificates of the flags and those of the endpoints. */
async function checkCertificates({ client, io, flags }: Context): Promise<Finding[]> {
  const expiry = (name: string, expires_ms: number, remedy: string): Finding => {
    const { grade, text } = gradeExpiry(expires_ms, io.wall_ms());
    return finding(grade, "certificate", `${name} ${text}`, grade === "ok" ? undefined : remedy);
  };
  const findings: Finding[] = [];
  for (const flag of ["ca-file", "cert-file"]) {
    const path = flags.text(flag);
    const expires_ms = path === "" ? undefined : earliestExpiry(await io.readFile(path) ?? "");
    if (expires_ms !== undefined) findings.push(expiry(`${path} (--${flag})`, expires_ms, "Replace the certificate."));
  }
  const remedy = "Renew the file that api_certfile names there, and reload fleet.service.";
  for (const { endpoint, expires_ms } of await client.certificates()) {
    findings.push(expiry(`the certificate of ${endpoint}`, expires_ms, remedy));
  }
  return findings;
}

async function checkServer(context: Context): Promise<Finding[]> {
  const { client, io, flags } = context;
  let health: Health;
  try {
    health = await client.health();
  } catch (error) {
    const remedy = "Name another endpoint with --endpoint, or a host to go through with --tunnel.";
    return [finding("FAIL", "endpoint", reasonOf(error), remedy)];
  }
  const findings: Finding[] = [
    finding("ok", "endpoint", `${client.endpoint} answers`),
    versionFinding(health),
    clockFinding(health, io.wall_ms()),
    storeFinding(health, client.endpoint),
  ];
  if (health.ready === false) return findings;
  let machines: readonly MachineEntity[];
  let loss: LossEntity | undefined;
  try {
    machines = await client.machines();
    loss = await client.loss();
  } catch (error) {
    if (!(error instanceof ApiError) || ![401, 403].includes(error.code)) {
      return [...findings, finding("FAIL", "machines", reasonOf(error), "Read the journal of fleet.service there.")];
    }
    const remedy = "Use --token, or --cert-file and --key-file, if the server requires them.";
    return [...findings, finding("FAIL", "permission", reasonOf(error), remedy)];
  }
  findings.push(
    machines.length > 0
      ? finding("ok", "machines", `${machines.length} present`)
      : finding("FAIL", "machines", "none is present", "Start fleet.service on the machines."),
  );
  if (loss?.missing) findings.push(lossFinding(loss, loss.missing));
  if (flags.on("no-ssh")) return findings;
  return [...findings, ...await inParallel(machines, (machine) => loginFinding(context, machine))];
}

function lossFinding({ present, until = 0 }: LossEntity, missing: readonly string[]): Finding {
  const names = missing.map((id) => machineIdLegend(id, false)).join(", ");
  const result =
    `${missing.length} of ${missing.length + present} machines were lost at once (${names}): their units wait for ` +
    `them until ${new Date(until).toISOString()}`;
  return finding(
    "warn",
    "machines",
    result,
    "Bring them back. If they stay away, move their units now: fleetctl accept-loss",
  );
}

function storeFinding({ ready, reason }: Health, endpoint: string): Finding {
  if (ready) return finding("ok", "store", "the server can read the cluster");
  if (ready === undefined) {
    return finding("warn", "store", "the server does not report its state, as an older fleet");
  }
  const remedy = /\baccept-store\b/.test(reason)
    ? `Restore the right store or, if this is the right one: ${
      commandLine(["fleetctl", `--endpoint=${endpoint}`, "accept-store"])
    } ` +
      "(--keep-units if it has lost units that run)"
    : "Read the journal of fleet.service there.";
  return finding("FAIL", "store", reason, remedy);
}

function versionFinding({ version: theirs }: Health): Finding {
  if (theirs === undefined) return finding("warn", "version", "the server does not report its version");
  if (theirs === version) return finding("ok", "version", `fleetctl and fleetd are both ${version}`);
  const result = `fleetctl is ${version}, fleetd is ${theirs}`;
  return finding("warn", "version", result, "Use the fleetctl that came with fleetd.");
}

function clockFinding({ wall_ms }: Health, here_ms: number): Finding {
  if (wall_ms === undefined) return finding("warn", "clock", "the server does not report its time");
  const off_ms = wall_ms - here_ms;
  if (Math.abs(off_ms) <= clockTolerance_ms) {
    return finding("ok", "clock", "the clock of the server agrees with that of this machine");
  }
  const off = `${Math.abs(Math.round(off_ms / 1000))} seconds ${off_ms > 0 ? "ahead of" : "behind"}`;
  return finding(
    "warn",
    "clock",
    `the clock of the server is ${off} that of this machine`,
    "Synchronize clocks with systemd-timesyncd or chrony: the order of merged logs depends on them.",
  );
}

async function loginFinding(context: Context, machine: MachineEntity): Promise<Finding> {
  const name = machineLegend(machine, false);
  if (!machine.primaryIP) {
    return finding("FAIL", "ssh", `${name} has no known address`, "Set public_ip in its fleet.conf.");
  }
  try {
    const host = await context.hosts.connect(machine.primaryIP, sshPortOf(context));
    const { stdout } = await host.capture("journalctl --quiet --lines=1 --output=cat --unit=fleet.service");
    if (stdout.trim() !== "") return finding("ok", "ssh", `${name} accepts the login, and its journal can be read`);
    const remedy = "Add the user to the group systemd-journal there, or use --sudo with journal and logs.";
    return finding("warn", "ssh", `${name} accepts the login, but its journal cannot be read`, remedy);
  } catch (error) {
    const [grade, remedy] = await severityOfNoLogin(context, machine.id);
    return finding(grade, "ssh", `${name}: ${reasonOf(error)}`, remedy);
  }
}

/** Grades a failed login: status, journal and logs need SSH only where the API cannot read journals. */
async function severityOfNoLogin({ client, hosts }: Context, id: string): Promise<["warn" | "FAIL", remedy: string]> {
  const enough = "Only fleetctl ssh needs the login: status, journal and logs use the API.";
  if (id === await hosts.localMachineId()) return ["warn", enough];
  try {
    const there = (await client.states()).find(({ machineID }) => machineID === id);
    if (!there) {
      return [
        "warn",
        "fleetctl ssh needs the login; status, journal and logs only where the API cannot read journals.",
      ];
    }
    const { text, why } = await client.unitReport(there.name, "journal", { machineID: id, lines: "1", output: "cat" });
    await text?.cancel();
    if (text) return ["warn", enough];
    const because = why === "" ? "" : ` (${why})`;
    return ["FAIL", `status, journal and logs need the login, since the API cannot read journals there${because}.`];
  } catch (error) {
    return ["FAIL", `status, journal and logs need the login, since the API refuses: ${reasonOf(error)}`];
  }
}
