// An OpenID provider for tests: oidc-provider with people of ours, who log in with any password by the forms that it has for development.
// MODULES is the folder where it is installed, and OPTIONS says in JSON: port, issuer, clients, people (by the name that they log in with: claims).
import { pathToFileURL } from 'node:url';
import path from 'node:path';

const { Provider } = await import(pathToFileURL(path.join(process.env.MODULES, 'node_modules/oidc-provider/lib/index.js')));
const options = JSON.parse(process.env.OPTIONS);

const provider = new Provider(options.issuer, {
  clients: options.clients,
  claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
  scopes: ['openid', 'email', 'profile', 'groups'],
  conformIdTokenClaims: true,
  pkce: { required: () => true },
  cookies: { keys: ['of the tests'] },
  features: { devInteractions: { enabled: true }, rpInitiatedLogout: { enabled: true } },
  async findAccount(_, id) {
    const claims = options.people[id];
    return claims && { accountId: id, claims: async () => ({ sub: id, ...claims }) };
  },
});
provider.proxy = false;
provider.listen(options.port, '127.0.0.1');
