/**
 * The contents of attached files in the cluster: uploads and reads them.
 *
 * @module
 */

import type { Contents } from "../../registry/attach_contents.ts";
import { type AttachedFile, attachedFiles } from "../../registry/attached_files.ts";
import { inParallel } from "../../runtime/parallel.ts";
import type { UnitOption } from "../../systemd/unit_file.ts";
import type { ApiClient } from "../api/client.ts";
import { reasonOf } from "../terminal/port.ts";

/** Uploads contents, before the units that name them. */
export async function uploadContents(client: ApiClient, contents: Contents): Promise<void> {
  await inParallel([...contents], async ([hash, bytes]) => {
    if (await client.putContent(hash, bytes.toBase64())) return;
    throw new Error(`${client.endpoint} runs a fleet that does not deliver files (File=): upgrade it`);
  }, 4);
}

/** Returns the bytes of a content of the cluster. Throws if the cluster does not have it. */
export async function storedContent(client: ApiClient, { source, content }: AttachedFile): Promise<Uint8Array> {
  const stored = content && await client.content(content.hash);
  if (!stored) throw new Error(`the cluster does not have the content of ${source} (${content?.hash ?? "unknown"})`);
  return Uint8Array.fromBase64(stored.content);
}

/** A content, or why the cluster does not have it. */
export type FoundContent = { readonly bytes: Uint8Array; readonly problem?: undefined } | {
  readonly bytes?: undefined;
  readonly problem: string;
};

/** Returns the text of a content; undefined if it is no text, or unknown. */
export function contentText({ bytes }: Pick<FoundContent, "bytes">): string | undefined {
  if (!bytes || bytes.includes(0)) return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/**
 * Returns the files with another content than before, by path: both contents, undefined where the file is new or gone.
 * `local`: contents that the cluster may not have yet.
 */
export async function changedContents(
  client: ApiClient,
  before: readonly UnitOption[],
  after: readonly UnitOption[],
  local: Contents,
): Promise<readonly { readonly path: string; readonly old?: FoundContent; readonly now?: FoundContent }[]> {
  const byPath = (options: readonly UnitOption[]) => new Map(attachedFiles(options).map((file) => [file.path, file]));
  const [was, is] = [byPath(before), byPath(after)];
  const find = async (file: AttachedFile): Promise<FoundContent> => {
    const bytes = local.get(file.content?.hash ?? "");
    if (bytes) return { bytes };
    return await storedContent(client, file).then((bytes) => ({ bytes }), (error) => ({ problem: reasonOf(error) }));
  };
  const paths = [...new Set([...was.keys(), ...is.keys()])].sort();
  const differing = paths.filter((path) => was.get(path)?.content?.hash !== is.get(path)?.content?.hash);
  return await inParallel(differing, async (path) => {
    const [old, now] = [was.get(path), is.get(path)];
    return { path, ...old && { old: await find(old) }, ...now && { now: await find(now) } };
  });
}
