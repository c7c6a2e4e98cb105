// A real OpenID provider (oidc-provider), with its own pages for logging in and out. Whoever has a name may log in; the
// groups are what the test says.

import Provider from "oidc-provider";
import { createServer } from "node:http";

export const CLIENT = "portcullis";
export const SECRET = "a secret/with+odd=parts, and long enough";

// An address on this machine that nobody listens on at the moment.
export function freePort() {
  const server = createServer();
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => {
    const { port } = server.address();
    server.close(() => resolve(port));
  }));
}

// `origin` is where people come from and go back to; `groups` are those of each name.
export async function startProvider(origin, groups) {
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const provider = new Provider(issuer, {
    clients: [{
      client_id: CLIENT, client_secret: SECRET, redirect_uris: [`${origin}/login/callback`],
      grant_types: ["authorization_code"], response_types: ["code"],
    }],
    claims: { openid: ["sub"], profile: ["preferred_username", "groups"], email: ["email"] },
    // As most providers do: what the scopes ask for is in the ID token.
    conformIdTokenClaims: false,
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, preferred_username: id, email: `${id}@example.com`, groups: groups[id] ?? [] }),
    }),
  });
  const server = await new Promise((resolve) => { const it = provider.listen(port, "127.0.0.1", () => resolve(it)); });
  return {
    issuer,
    stop: () => new Promise((done) => { server.close(done); server.closeAllConnections(); }),
  };
}
