/**
 * The router: finds the resource and the methods of a path. Pure.
 *
 * @module
 */

import type { Call } from "./context.ts";
import { errorReply } from "./http/responses.ts";

/** Answers one request; `name` is the segment of the path that matched `*`, or "". May reject. */
export type Action = (call: Call, name: string) => Response | Promise<Response>;

/** The methods of one path. */
export interface Resource {
  /** Actions by method. */
  readonly actions: Readonly<Record<string, Action>>;
  /** The action of every other method. */
  readonly otherwise: Action;
  /** True if it is about this daemon alone, so that it is available while the daemon cannot answer for the cluster. */
  readonly isLocal?: true;
}

/** Every path of the API. `*` matches one segment; a path below `/fleet/v1` also stands for that below `/v1-alpha`. */
export type Routes = ReadonlyMap<string, Resource>;

/** Returns an action that refuses methods which a path does not have. */
export function only(methods: string, code = 405): Action {
  return () => errorReply(code, `only ${methods} supported against this resource`);
}

/** Returns a resource that refuses all methods without an action. */
export function resource(actions: Resource["actions"]): Resource {
  return { actions, otherwise: only(Object.keys(actions).join(", ").replace(/, (\w+)$/, " and $1")) };
}

/** Returns the resource at a path of percent-decoded segments, and the segment that matched `*`. */
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
