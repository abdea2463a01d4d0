import assert from "node:assert/strict";
import { hideUserInfo } from "./redact.ts";

for (
  const [text, shown] of [
    ["http://10.0.0.1:2379", "http://10.0.0.1:2379"],
    ["http://root:secret@10.0.0.1:2379", "http://(hidden)@10.0.0.1:2379"],
    ["https://root:s/e@c:r#e?t@a,https://root:secret@b", "https://(hidden)@a,https://(hidden)@b"],
    ['["http://root:secret@a", "http://b"]', '["http://(hidden)@a", "http://b"]'],
    ["root:secret@10.0.0.1", "(hidden)@10.0.0.1"],
  ] as const
) {
  Deno.test(`the user part of ${text} is hidden`, () => assert.equal(hideUserInfo(text), shown));
}
