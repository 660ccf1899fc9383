// The store on an etcd that speaks TLS and asks for a certificate.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { ProgramError } from '#proto/kit/errors.ts';
import { readEtcdCredentials } from '#registry/serve/etcd-credentials.ts';
import { nodeId } from '#test/support/registry-fixtures.ts';
import { startTestEtcd } from '#test/support/etcd.ts';
import { authority, issueRegistry } from '#test/support/pki.ts';
import { enrol, storeFor, succeeded } from './store-cases.ts';

test('credentials come from files, and those that do not fit are refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-tls-'));
  t.after(() => rm(dir, { recursive: true }));
  const pair = await issueRegistry(await authority(), { usage: 'both', ipAddresses: ['127.0.0.1'] });
  const stranger = await authority();
  await writeFile(join(dir, 'ca.crt'), pair.ca);
  await writeFile(join(dir, 'other.crt'), stranger.certificate);
  await writeFile(join(dir, 'me.crt'), pair.certificate);
  await writeFile(join(dir, 'me.key'), pair.key.reveal(), { mode: 0o600 });
  const at = (name: string): string => join(dir, name);
  const etcd = await startTestEtcd({ ca: at('ca.crt'), certificate: at('me.crt'), key: at('me.key') });
  t.after(() => etcd.close());
  const files = { ca: 'ca.crt', certificate: 'me.crt', key: 'me.key' };
  const credentials = async (tls: Parameters<typeof readEtcdCredentials>[2], url = etcd.endpoint) => {
    const read = await readEtcdCredentials(dir, [url], tls);
    return read && { credentials: read };
  };

  const store = await storeFor(t, etcd, 'a', await credentials(files));
  succeeded(await store.commit(enrol(1)));
  assert.ok(store.snapshot().nodes.has(nodeId(1)));

  const refused = async (tls: Parameters<typeof credentials>[0]): Promise<void> => {
    await assert.rejects(storeFor(t, etcd, 'b', { ...(await credentials(tls)), openWithin: 2000 }), ProgramError);
  };
  await refused({ ...files, ca: 'other.crt' });
  await refused({ ca: 'ca.crt', certificate: undefined, key: undefined });
  const fault = (message: RegExp, tls: Parameters<typeof credentials>[0], url?: string) =>
    assert.rejects(credentials(tls, url), (error) => error instanceof ProgramError && message.test(error.message));
  await fault(/registry\.yaml needs etcdTls\.ca/, undefined);
  await fault(/every URL of etcd is of https/, files, 'http://127.0.0.1:2379');
  await fault(/certificate and key go together/, { ...files, key: undefined });
  await fault(/no such file.*missing\.crt/, { ...files, ca: 'missing.crt' });
});
