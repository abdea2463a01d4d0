/**
 * Warns about files of the configuration that other users of the machine may read or write. An adapter.
 *
 * @module
 */

import { at, type Sources } from "./named_files.ts";

/** Options that name a file with a secret. */
const secretFiles = ["etcd_keyfile", "api_keyfile", "api_peer_keyfile", "api_peer_token_file"];

/** Options that name a file or a folder of which only the content must be right. */
const otherFiles = [
  ...["etcd_cafile", "etcd_certfile", "api_certfile", "api_client_cafile", "api_tokens_file", "api_peer_certfile"],
  ...["api_peer_cafile", "units_directory", "state_directory"],
];

/** Returns a warning about each file. `file`: the configuration's own. `texts`: the options as written, by name. */
export async function openFileWarnings(
  { file, texts, sources }: {
    readonly file: string | undefined;
    readonly texts: ReadonlyMap<string, string>;
    readonly sources: Sources;
  },
): Promise<string[]> {
  const passwordSource = texts.get("etcd_password") ? sources.get("etcd_password") ?? "" : "";
  const named = (option: string) => ({ path: texts.get(option) ?? "", by: `${at(sources, option)}option ${option}: ` });
  const own = file === undefined ? [] : [{ path: file, by: "" }];
  const secrets = [
    ...own.filter(({ path }) => passwordSource.startsWith(`${path}:`)).map(({ path }) => ({
      path,
      by: `${passwordSource}: `,
    })),
    ...secretFiles.map(named),
  ];
  const warnings = new Map<string, string>();
  for (const { path, by } of secrets) {
    if (path === "" || (await permissionsOf(path) & 0o004) === 0) continue;
    const what = `every user of this machine may read ${path}, which contains a secret`;
    warnings.set(`read ${path}`, `${by}${what}: chmod o-r ${path}`);
  }
  for (const { path, by } of [...own, ...[...secretFiles, ...otherFiles].map(named)]) {
    const last = path.replace(/\/+$/, "");
    // Those who may write to a folder may replace its files.
    for (const each of [last, last.replace(/\/[^/]*$/, "")]) {
      if (each === "" || warnings.has(`write ${each}`) || (await permissionsOf(each) & 0o022) === 0) continue;
      const what = `other users may write to ${each}, and so control fleetd`;
      warnings.set(`write ${each}`, `${by}${what}: chmod go-w ${each}`);
    }
  }
  return [...warnings.values()];
}

/** Returns the permission bits of a file; 0 for those of a folder like /tmp, where users cannot change what belongs to others. */
async function permissionsOf(path: string): Promise<number> {
  // Why a file cannot be read is reported where it is used.
  const mode = await Deno.stat(path).then(({ mode }) => mode ?? 0, () => 0);
  return (mode & 0o1000) === 0 ? mode : 0;
}
