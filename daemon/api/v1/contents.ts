/**
 * The wire types of the contents of attached files.
 *
 * @module
 */

import { count, entity, request, text, type TypeOf } from "./schema.ts";

export type ContentRequest = TypeOf<typeof ContentRequest>;
export const ContentRequest = {
  title: "ContentRequest",
  ...request("The content of a file.", { content: text("Its bytes, at most 65,536, in base64.") }),
};

export type ContentEntity = TypeOf<typeof ContentEntity>;
export const ContentEntity = entity("Content", "The content of a file that units name by `File=`.", {
  hash: text("Its SHA-256.", { pattern: "^[0-9a-f]{64}$" }),
  size: count("Its size in bytes."),
  content: text("Its bytes in base64."),
});
