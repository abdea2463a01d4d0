/**
 * What may be done at one path.
 *
 * @module
 */

import type { Call } from "./context.ts";
import { errorReply } from "./http/responses.ts";

/** Answers one request; `name` is what stands for `*` in the path, or "". May reject. */
export type Action = (call: Call, name: string) => Response | Promise<Response>;

/** See the head of this file. */
export interface Resource {
  /** By method. */
  readonly actions: Readonly<Record<string, Action>>;
  /** Any other method. */
  readonly otherwise: Action;
  /** It is about this very daemon, and answers also while that cannot answer for the cluster. */
  readonly isOwn?: true;
}

/**
 * Every path that the API knows. `*` stands for one segment; what stands below `/fleet/v1` stands below `/v1-alpha`, too.
 */
export type Routes = ReadonlyMap<string, Resource>;

/** The refusal of methods that a path does not have. */
export function only(methods: string, code = 405): Action {
  return () => errorReply(code, `only ${methods} supported against this resource`);
}

/** What is at a path of percent-decoded segments, and the name in it. */
export function find(
  routes: Routes,
  segments: readonly string[],
): { readonly resource: Resource; readonly name: string } | undefined {
  if (segments.some((segment) => segment.includes("/"))) return undefined;
  const parts = segments[0] === "v1-alpha" ? ["fleet", "v1", ...segments.slice(1)] : segments;
  const [fleet, v1, collection, name, ...below] = parts;
  const exact = name === "*" ? undefined : routes.get("/" + parts.join("/"));
  if (exact) return { resource: exact, name: "" };
  if (name === undefined || name === "") return undefined;
  const resource = routes.get("/" + [fleet, v1, collection, "*", ...below].join("/"));
  return resource && { resource, name };
}
