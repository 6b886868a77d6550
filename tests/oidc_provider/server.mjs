// An OAuth server that others wrote, with an API behind it that takes its tokens. It prints its port, and ends
// when its input ends. Environment: CLIENT_ID, CLIENT_SECRET, TOKEN_SECONDS.
//
// With REDIRECT_URI it signs people in instead: whoever is named on its page, with any password. A name such as
// "ada.marketing" is in the group "marketing", "ada.unverified" has an address that nobody verified.
// AUTH_METHOD: how its client authenticates.
import http from "node:http";
import Provider from "oidc-provider";

const { CLIENT_ID, CLIENT_SECRET, TOKEN_SECONDS, REDIRECT_URI, AUTH_METHOD } = process.env;

const forApi = {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  features: { clientCredentials: { enabled: true }, devInteractions: { enabled: false } },
  routes: { token: "/oauth2/token" },
  ttl: { ClientCredentials: Number(TOKEN_SECONDS) },
};

const forPeople = {
  clients: [
    {
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      grant_types: ["authorization_code"],
      response_types: ["code"],
      redirect_uris: [REDIRECT_URI],
      token_endpoint_auth_method: AUTH_METHOD ?? "client_secret_basic",
    },
  ],
  pkce: { required: () => true },
  claims: { openid: ["sub"], profile: ["name"], email: ["email", "email_verified"], groups: ["groups"] },
  findAccount: (_context, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      name: `Name of ${id}`,
      email: `${id.split(".")[0]}@example.com`,
      email_verified: !id.endsWith(".unverified"),
      groups: id.split(".").slice(1),
    }),
  }),
};

const server = http.createServer();
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, REDIRECT_URI ? forPeople : forApi);
  const oauth = provider.callback();
  server.on("request", async (request, response) => {
    if (!request.url.startsWith("/v1/")) {
      oauth(request, response);
      return;
    }
    const token = (request.headers.authorization ?? "").replace(/^Bearer /, "");
    const isGood = Boolean(await provider.ClientCredentials.find(token));
    response.writeHead(isGood ? 202 : 401, { "content-type": "application/json" }).end("{}");
  });
  console.log(port);
});

process.stdin.resume().on("end", () => process.exit(0));
