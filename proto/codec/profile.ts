// admin.yaml: how an operator's `dmwg` finds the registry and says who it is. Holds a private key: mode 0600.
import * as z from 'zod';
import { Secret } from '#proto/kit/secret.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import { formatYaml, hostPort, parseYaml, text } from './yaml-file.ts';

export interface Profile {
  readonly version: 1;
  /** host:port */
  readonly registry: readonly string[];
  /** PEM, as are the others. */
  readonly caCertificate: string;
  readonly certificate: string;
  readonly key: Secret;
}

const certificate = text((value) => parsePem(value, 'CERTIFICATE'));

const schema = z.strictObject({
  version: z.literal(1, 'is not 1, the only version known here'),
  registry: z.array(hostPort).min(1, 'needs at least one host:port'),
  caCertificate: certificate,
  certificate,
  key: text((value) => parsePem(value, 'PRIVATE KEY')).transform((value) => new Secret(value)),
});

/** One fault that names everything that is wrong, each with its path. */
export function parseProfile(source: string): Result<Profile> {
  return parseYaml(source, schema);
}

export function formatProfile(profile: Profile): Secret {
  return new Secret(formatYaml({ ...profile, key: profile.key.reveal() }));
}

function parsePem(value: string, label: string): Result<string> {
  const armoured = new RegExp(`^-----BEGIN ${label}-----\\n[A-Za-z0-9+/=\\n]+\\n-----END ${label}-----\\n?$`);
  return armoured.test(value) ? ok(value) : fail('bad-pem', `is not a PEM block "${label}"`);
}
