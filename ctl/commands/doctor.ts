import type { MachineEntity } from "../../daemon/api/v1/types.ts";
import type { Health } from "../api/client.ts";
import { earliestExpiry, judgeExpiry } from "../api/certificate_expiry.ts";
import { type Command, type Context, exitFailure } from "../cli/command.ts";
import { inParallel } from "../../runtime/parallel.ts";
import { reasonOf, say } from "../terminal/port.ts";
import { machineLegend } from "../machines/format.ts";
import { sshPortFlag, sshPortOf } from "../machines/select.ts";
import { version } from "../version.ts";

/** `fleetctl doctor`: is everything as it should be, and if not, what to do. */
export const doctor: Command = {
  name: "doctor",
  isNew: true,
  takesNothing: true,
  summary: "Check the way to the cluster and to its machines, and say what to fix",
  usage: "doctor [--no-ssh] [--ssh-port=N]",
  description: `Checks the endpoint, the store behind it, versions and clocks, and logs in to every
machine. Each line begins with ok, warn or FAIL. The exit status is 1 if anything fails.`,
  flags: [
    { name: "no-ssh", kind: "switch", fallback: false, help: "Do not log in to the machines" },
    sshPortFlag,
  ],
  async run(context) {
    const findings = await examine(context);
    for (const { grade, what, remedy } of findings) {
      say(context.io, `${painted(context, grade)} ${what}`);
      if (remedy) say(context.io, `       ${remedy}`);
    }
    return findings.some(({ grade }) => grade === "FAIL") ? exitFailure : 0;
  },
};

interface Finding {
  readonly grade: "ok" | "warn" | "FAIL";
  readonly what: string;
  /** What to do about it. */
  readonly remedy?: string;
}

function painted({ io }: Context, grade: Finding["grade"]): string {
  const text = grade.padEnd(6);
  return io.color ? `\x1b[${{ ok: 32, warn: 33, FAIL: 31 }[grade]}m${text}\x1b[0m` : text;
}

/** Clocks that differ by more than this make the times of journals hard to compare. */
const clockTolerance_ms = 5000;

async function examine(context: Context): Promise<Finding[]> {
  return [...await certificateFindings(context), ...await examineServer(context)];
}

/** The certificates that the flags name, and those that the endpoints show. */
async function certificateFindings({ client, io, flags }: Context): Promise<Finding[]> {
  const judge = (what: string, expires_ms: number, remedy: string): Finding => {
    const { grade, what: judged } = judgeExpiry(expires_ms, io.wall_ms());
    return { grade, what: `certificate: ${what} ${judged}`, ...(grade === "ok" ? {} : { remedy }) };
  };
  const findings: Finding[] = [];
  for (const flag of ["ca-file", "cert-file"]) {
    const path = flags.text(flag);
    const expires_ms = path === "" ? undefined : earliestExpiry(await io.readFile(path) ?? "");
    if (expires_ms !== undefined) findings.push(judge(`${path} (--${flag})`, expires_ms, "Have a new one made."));
  }
  for (const { endpoint, expires_ms } of await client.certificates()) {
    findings.push(
      judge(
        `that of ${endpoint}`,
        expires_ms,
        "Renew the file that api_certfile names there, and reload fleet.service.",
      ),
    );
  }
  return findings;
}

async function examineServer(context: Context): Promise<Finding[]> {
  const { client, io, flags } = context;
  let health: Health;
  try {
    health = await client.health();
  } catch (error) {
    const remedy = "Name another endpoint with --endpoint, or a host to go through with --tunnel.";
    return [{ grade: "FAIL", what: `endpoint: ${reasonOf(error)}`, remedy }];
  }
  const findings: Finding[] = [
    { grade: "ok", what: `endpoint: ${client.endpoint} answers` },
    versionFinding(health),
    clockFinding(health, io.wall_ms()),
    storeFinding(health, client.endpoint),
  ];
  if (health.ready === false) return findings;
  let machines: readonly MachineEntity[];
  try {
    machines = await client.machines();
  } catch (error) {
    return [...findings, {
      grade: "FAIL",
      what: `permission: ${reasonOf(error)}`,
      remedy: "The server may want --token or --cert-file and --key-file.",
    }];
  }
  findings.push(
    machines.length > 0
      ? { grade: "ok", what: `machines: ${machines.length} present` }
      : { grade: "FAIL", what: "machines: none is present", remedy: "Is fleet.service running on them?" },
  );
  if (flags.on("no-ssh")) return findings;
  return [...findings, ...await inParallel(machines, (machine) => loginFinding(context, machine))];
}

function storeFinding({ ready, reason }: Health, endpoint: string): Finding {
  if (ready) return { grade: "ok", what: "store: the server can answer for the cluster" };
  if (ready === undefined) {
    return { grade: "warn", what: "store: the server does not tell its state, as an older fleet does not" };
  }
  const remedy = /\baccept-store\b/.test(reason)
    ? `Restore the right store or, if this is the right one: fleetctl --endpoint=${endpoint} accept-store`
    : "Look at the journal of fleet.service there.";
  return { grade: "FAIL", what: `store: ${reason}`, remedy };
}

function versionFinding({ version: theirs }: Health): Finding {
  if (theirs === undefined) return { grade: "warn", what: "version: the server does not tell its own" };
  if (theirs === version) return { grade: "ok", what: `version: fleetctl and fleetd are both ${version}` };
  return {
    grade: "warn",
    what: `version: fleetctl is ${version}, fleetd is ${theirs}`,
    remedy: "Use the fleetctl that came with fleetd.",
  };
}

function clockFinding({ wall_ms }: Health, here_ms: number): Finding {
  if (wall_ms === undefined) return { grade: "warn", what: "clock: the server does not tell the time" };
  const off_s = Math.round((wall_ms - here_ms) / 1000);
  if (Math.abs(wall_ms - here_ms) <= clockTolerance_ms) {
    return { grade: "ok", what: "clock: the server's agrees with ours" };
  }
  return {
    grade: "warn",
    what: `clock: the server's is ${Math.abs(off_s)} seconds ${off_s > 0 ? "ahead of" : "behind"} ours`,
    remedy: "Keep clocks right with systemd-timesyncd or chrony: the order of merged logs depends on them.",
  };
}

async function loginFinding(context: Context, machine: MachineEntity): Promise<Finding> {
  const what = `ssh: ${machineLegend(machine, false)}`;
  if (!machine.primaryIP) {
    return { grade: "FAIL", what: `${what} has told no address`, remedy: "Set public_ip in its fleet.conf." };
  }
  try {
    const host = await context.hosts.connect(machine.primaryIP, sshPortOf(context));
    const { stdout } = await host.capture("journalctl --quiet --lines=1 --output=cat --unit=fleet.service");
    if (stdout.trim() !== "") return { grade: "ok", what: `${what} lets us in, and shows its journal` };
    return {
      grade: "warn",
      what: `${what} lets us in, but its journal cannot be read`,
      remedy: "Add the user to the group systemd-journal there, or use --sudo with journal and logs.",
    };
  } catch (error) {
    return { what: `${what}: ${reasonOf(error)}`, ...await needOfSsh(context, machine.id) };
  }
}

/** How bad it is that a machine lets nobody in: status, journal and logs need SSH only where the API cannot tell. */
async function needOfSsh(context: Context, id: string): Promise<Pick<Finding, "grade" | "remedy">> {
  const { client, hosts } = context;
  const enough = "Only fleetctl ssh needs it: status, journal and logs ask the API.";
  if (id === await hosts.localMachineId()) return { grade: "warn", remedy: enough };
  try {
    const there = (await client.states()).find(({ machineID }) => machineID === id);
    if (!there) {
      return {
        grade: "warn",
        remedy: "fleetctl ssh needs it; status, journal and logs only where the API cannot tell.",
      };
    }
    const { text, why } = await client.unitReport(there.name, "journal", { machineID: id, lines: "1", output: "cat" });
    await text?.cancel();
    if (text) return { grade: "warn", remedy: enough };
    const because = why === "" ? "" : ` (${why})`;
    return { grade: "FAIL", remedy: `status, journal and logs need it, since the API cannot tell${because}.` };
  } catch (error) {
    return { grade: "FAIL", remedy: `status, journal and logs need it, since the API refuses: ${reasonOf(error)}` };
  }
}
