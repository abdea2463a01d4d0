/**
 * `/contents/{hash}`: the contents of attached files, which are uploaded before the units that name them.
 *
 * @module
 */

import { type AttachedFile, attachedFiles, attachmentLimits, isContentHash } from "../../../registry/attached_files.ts";
import { decodeContent, nameContent } from "../../../registry/content_hash.ts";
import type { Cluster, StoredContent } from "../../../registry/model.ts";
import type { UnitOption } from "../../../systemd/unit_file.ts";
import type { Api, Call } from "../context.ts";
import { emptyReply, errorReply } from "../http/responses.ts";
import { type ContentEntity, ContentRequest } from "../v1/contents.ts";
import { readRequest } from "./json_request.ts";

/** Limit of all contents, an eighth of etcd's default quota. Those that no unit file names are deleted after a while. */
export const maxContents_bytes = 256 * 1024 * 1024;

/** GET `/contents/{hash}`. */
export async function getContent(api: Api, hash: string, { peer }: Call): Promise<Response> {
  const stored = (await api.registry.read()).contents?.get(hash);
  const content = stored && await api.registry.content(stored);
  if (!stored || content === undefined) return errorReply(404, "content does not exist");
  const entity: ContentEntity = { content, hash, size: stored.size_bytes };
  return api.responses.json(JSON.stringify(entity), peer.whenOver);
}

/** PUT `/contents/{hash}`. A content that is there already is written again: it gets its whole life without a unit again. */
export async function putContent(api: Api, hash: string, call: Call): Promise<Response> {
  if (!isContentHash(hash)) return errorReply(400, "the name of a content must be its SHA-256, 64 hexadecimal digits");
  const body = await readRequest(api, call, ContentRequest);
  if ("refusal" in body) return body.refusal;
  const bytes = decodeContent(body.value.content);
  if (!bytes) return errorReply(400, "unable to decode body: expected content to be base64");
  if (bytes.length > attachmentLimits.file_bytes) {
    return errorReply(413, `the file has ${bytes.length} bytes (max ${attachmentLimits.file_bytes})`);
  }
  const name = nameContent(bytes);
  if (name.hash !== hash) return errorReply(400, `the SHA-256 of the content is ${name.hash}, not ${hash}`);
  const { contents = new Map<string, StoredContent>() } = await api.registry.read();
  const isNew = !contents.has(hash);
  const total_bytes = contents.values().reduce((sum, { size_bytes }) => sum + size_bytes, 0);
  if (isNew && total_bytes + bytes.length > maxContents_bytes) {
    const limit = `all files of units together have at most ${maxContents_bytes} bytes`;
    return errorReply(507, `${limit}, and the store has ${total_bytes}: destroy units, or make their files smaller`);
  }
  await api.registry.commit({ kind: "content", name, base64: bytes.toBase64() });
  return emptyReply(204);
}

/** Returns the stored contents of a unit's files, and the file whose content is missing. */
export function storedContents(
  { contents }: Pick<Cluster, "contents">,
  options: readonly UnitOption[],
): { readonly stored: readonly StoredContent[]; readonly missing?: AttachedFile } {
  const files = attachedFiles(options);
  const named = files.flatMap(({ content }) => contents?.get(content?.hash ?? "") ?? []);
  const missing = files.find(({ content }) => contents?.get(content?.hash ?? "")?.size_bytes !== content?.size_bytes);
  return { stored: [...new Set(named)], ...missing && { missing } };
}

/** Says that a unit cannot be put without the content of a file. */
export function missingContent({ source, content }: AttachedFile): string {
  return `the content of File=${source} (${content?.hash}) is not in the store: upload it before the unit`;
}
