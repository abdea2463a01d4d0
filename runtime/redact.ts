/** Printed in place of a secret. */
export const hidden = "(hidden)";

/** Hides the user part of each endpoint in a text, which may hold a password (RFC 3986, section 3.2.1). */
export function hideUserInfo(endpoints: string): string {
  return endpoints.replace(/(\w+:\/\/)?[^\s,"]*@/g, `$1${hidden}@`);
}
