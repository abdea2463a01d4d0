/**
 * A control group for each machine, so that each machine's systemd has its groups for itself. Outside of systemd,
 * systemd-nspawn puts a container into the group that it was itself started in; two machines in one group would kill each
 * other's units.
 */

/** Returns the mount points of the hierarchies that systemd uses: the unified one, and on a hybrid host also the named v1 hierarchy. */
function hierarchies(): string[] {
  const mounts = Deno.readTextFileSync("/proc/self/mounts").split("\n").map((line) => line.split(" "));
  const found = mounts.filter(([, , type, options]) => {
    return type === "cgroup2" || (type === "cgroup" && options?.split(",").includes("name=systemd"));
  }).map(([, path]) => path!);
  if (found.length === 0) throw new Error("no cgroup hierarchy that systemd could use is mounted");
  return found;
}

const parent = "fleet-lab";

/** Creates the group `<lab>/<machine>` in each hierarchy, after it removes the group of an earlier boot. Returns their directories. */
export function makeGroups(lab: string, machine: string): string[] {
  return hierarchies().map((top) => {
    const dir = `${top}/${parent}/${lab}/${machine}`;
    removeGroup(dir);
    Deno.mkdirSync(dir, { recursive: true });
    return dir;
  });
}

/** Removes all groups of a lab. The lab's processes must have ended. */
export function removeGroups(lab: string): void {
  for (const top of hierarchies()) removeGroup(`${top}/${parent}/${lab}`);
}

/** Returns the PIDs of all processes in a lab's groups. */
export function processesIn(lab: string): number[] {
  return [...new Set(hierarchies().flatMap((top) => processesBelow(`${top}/${parent}/${lab}`)))];
}

/** Returns the names of the labs that have groups. */
export function labsWithGroups(): string[] {
  return hierarchies().flatMap((top) => subgroups(`${top}/${parent}`));
}

function processesBelow(dir: string): number[] {
  let own: string;
  try {
    own = Deno.readTextFileSync(`${dir}/cgroup.procs`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || (error as { code?: string }).code === "ENODEV") return [];
    throw error;
  }
  const pids = own.split("\n").filter((line) => line !== "").map(Number);
  return [...pids, ...subgroups(dir).flatMap((name) => processesBelow(`${dir}/${name}`))];
}

function subgroups(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].filter((entry) => entry.isDirectory).map((entry) => entry.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function removeGroup(dir: string): void {
  for (const name of subgroups(dir)) removeGroup(`${dir}/${name}`);
  try {
    Deno.removeSync(dir);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
