/**
 * The cluster page: starts it in the browser.
 *
 * @module
 */

import { render } from "preact";
import { followCluster } from "./api/stream.ts";
import { access, takeKeyFromAddress } from "./api/session.ts";
import { Page } from "./view/page.tsx";
import { followAddress } from "./view/route.ts";

takeKeyFromAddress();
// A new key may be opened in this tab: only the fragment changes then.
addEventListener("hashchange", () => {
  if (!takeKeyFromAddress()) return;
  access.value = "unknown";
  void followCluster();
});
followAddress();
void followCluster();
render(<Page />, document.getElementById("page")!);
