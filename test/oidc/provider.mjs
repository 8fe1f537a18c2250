// A server of OpenID Connect for workload_test.go: node provider.mjs PORT, in a folder whose node_modules has oidc-provider. Its client ci has tokens by its secret.
import { generateKeyPairSync } from 'node:crypto';
import { createRequire } from 'node:module';
import { createServer } from 'node:http';

const { Provider } = createRequire(process.cwd() + '/')('oidc-provider');
const issuer = `http://127.0.0.1:${process.argv[2]}`;

function key(kid, type, options, alg) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

function provider(keys) {
  return new Provider(issuer, {
    jwks: { keys },
    clients: [{ client_id: 'ci', client_secret: 'secret', grant_types: ['client_credentials'], redirect_uris: [], response_types: [], scope: 'registry', id_token_signed_response_alg: keys[0].alg }],
    scopes: ['registry'],
    features: {
      clientCredentials: { enabled: true },
      devInteractions: { enabled: false },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:registry',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'registry', audience: resource, accessTokenTTL: 300, accessTokenFormat: 'jwt', jwt: { sign: { alg: keys[0].alg } },
        }),
      },
    },
    extraTokenClaims: () => ({ repository: 'acme/app', teams: ['dev', 'ops'] }),
  }).callback();
}

// POST /rotate/ALG makes another key, and forgets those of before.
const kinds = { RS256: ['rsa', { modulusLength: 2048 }], ES256: ['ec', { namedCurve: 'P-256' }], PS256: ['rsa', { modulusLength: 2048 }] };
let serve = provider([key('first', ...kinds.RS256, 'RS256')]);
let n = 0;
createServer((req, res) => {
  const [, path, alg] = req.url.split('/');
  if (path === 'rotate') {
    serve = provider([key(`key-${n++}`, ...kinds[alg], alg)]);
    res.end();
    return;
  }
  serve(req, res);
}).listen(Number(process.argv[2]), '127.0.0.1', () => console.log('ready'));
