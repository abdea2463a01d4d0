/**
 * The previous release, as a build of `fleetd` from the history of this repository. The build is kept beside this file,
 * because a checkout may be shallow. `deno task previous-release` makes it again, byte by byte.
 *
 * @module
 */

import { must } from "../../lab/process.ts";

/** The commit of the previous release: the last one before the folders and the store's layout were reorganized. */
const commit = "39cf98d043cddbc888cd6ab243b100acb20da463";

const root = new URL("../../../", import.meta.url).pathname;
const archive = new URL("./previous_release.tar.gz", import.meta.url).pathname;

/** Unpacks the build into a directory that exists: `fleetd`, and its bundle below `lib/`. */
export async function unpackPreviousRelease(directory: string): Promise<void> {
  await must(["tar", "-C", directory, "-xzf", archive]);
}

/** Builds the archive. Needs the commit in the history, and the npm registry or a cache. */
async function build(): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "fleet-previous-" });
  try {
    await must(["sh", "-ec", `git -C ${root} archive ${commit} | tar -C ${dir} -x`]);
    const path = `${Deno.execPath().replace(/\/[^/]*$/, "")}:${Deno.env.get("PATH") ?? ""}`;
    const env = { PATH: path, CI: "true" };
    await must([`${dir}/compile.sh`, "--launcher", `${dir}/build`], { env, timeout_ms: 600_000 });
    const reproducible = "--sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX";
    const tar = `tar -C ${dir}/build ${reproducible} -c fleetd lib/fleetd | gzip -9n >${archive}`;
    await must(["sh", "-ec", tar]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

if (import.meta.main) await build();
