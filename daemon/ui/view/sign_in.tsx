/**
 * Asks for a token, or says what else the API requires.
 *
 * @module
 */

import { useState } from "preact/hooks";
import { access, refusal, setToken, takesToken } from "../api/session.ts";
import { followCluster } from "../api/stream.ts";

/** The view of a client that the API refuses. */
export function SignIn() {
  const [text, setText] = useState("");
  const tryAgain = () => {
    access.value = "unknown";
    void followCluster();
  };
  const submit = (event: Event) => {
    event.preventDefault();
    setToken(text.trim());
    tryAgain();
  };
  if (!takesToken.value) {
    return (
      <main class="sign-in">
        <h1>fleet</h1>
        <p class="failure" role="alert">{refusal.value}</p>
        <p class="note">
          With a client certificate of the cluster in this browser, or by the address that <code>fleetctl ui</code>{" "}
          prints, no token is needed.
        </p>
        <button type="button" onClick={tryAgain}>Try again</button>
      </main>
    );
  }
  return (
    <main class="sign-in">
      <h1>fleet</h1>
      <form onSubmit={submit}>
        <label for="token">Token</label>
        <input
          id="token"
          type="password"
          autocomplete="off"
          required
          value={text}
          onInput={(event) => setText(event.currentTarget.value)}
        />
        <button type="submit">Sign in</button>
      </form>
      {refusal.value !== "" && <p class="failure" role="alert">{refusal.value}</p>}
      <p class="note">
        The token is one of those in{" "}
        <code>api_tokens_file</code>. This tab keeps it until it is closed. With a client certificate of the cluster in
        this browser, no token is needed.
      </p>
    </main>
  );
}
