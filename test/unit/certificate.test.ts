import assert from 'node:assert/strict';
import test from 'node:test';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { once } from 'node:events';
import {
  certificateExpiry,
  certificateValidity,
  createCa,
  createCsr,
  derOf,
  fingerprint,
  issueCertificate,
  parseIdentity,
  pemOf,
} from '#proto/kit/certificate.ts';
import { parseNodeId } from '#proto/model/names.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';

const now = Date.now() as Timestamp;
const node = { kind: 'node', overlay: 'lab', id: must(parseNodeId('0123456789abcdef')) } as const;
const registry = { kind: 'registry', overlay: 'lab', name: 'registry' } as const;

test('a node certificate carries its identity, and its validity', async () => {
  const ca = await createCa('lab', now);
  const { csr } = await createCsr('alice');
  const base = { ca: ca.certificate, caKey: ca.key, csr, now, validity: seconds(3600) };
  const issued = must(await issueCertificate({ ...base, identity: node, name: 'alice', usage: 'client' }));
  assert.deepEqual(parseIdentity(issued.certificate), { ok: true, value: node });
  const { from, until } = certificateValidity(issued.certificate);
  assert.equal(until, issued.expires);
  assert.ok(Math.abs(until - (now + 3_600_000)) <= 1000);
  assert.ok(Math.abs(now - from - 3_600_000) <= 1000, 'a late clock takes it, too');
  assert.equal(certificateExpiry(pemOf(issued.certificate)), until);
  assert.match(fingerprint(ca.certificate), /^[0-9a-f]{64}$/);
  assert.equal(fingerprint(ca.certificate), fingerprint(derOf(ca.certificate)));
});

test('a certificate does not outlive its CA', async () => {
  const ca = await createCa('lab', now);
  const { csr } = await createCsr('alice');
  const validity = seconds(100 * 365 * 86_400);
  const options = { ca: ca.certificate, caKey: ca.key, csr, now, validity, usage: 'client' } as const;
  const issued = must(await issueCertificate({ ...options, identity: node, name: 'alice' }));
  assert.equal(issued.expires, certificateExpiry(ca.certificate));
});

test('a request whose signature does not fit is refused', async () => {
  const ca = await createCa('lab', now);
  const { csr } = await createCsr('alice');
  const broken = csr.slice();
  broken[broken.length - 4] = (broken[broken.length - 4] ?? 0) ^ 1;
  const base = { ca: ca.certificate, caKey: ca.key, now, validity: seconds(60), usage: 'client' } as const;
  for (const bad of [broken, csr.slice(0, 40), new Uint8Array(), new Uint8Array(20_000)]) {
    const issued = await issueCertificate({ ...base, csr: bad, identity: node, name: 'alice' });
    assert.equal(issued.ok ? 'ok' : issued.fault.code, 'bad-csr');
  }
});

test('what is no certificate, or has no identity, is a fault', async () => {
  const ca = await createCa('lab', now);
  assert.equal(faultOf(parseIdentity(derOf(ca.certificate))), 'bad-identity');
  assert.equal(faultOf(parseIdentity(new Uint8Array([1, 2, 3]))), 'bad-certificate');
});

test('mutual TLS on loopback, and the chain shows the CA', async (t) => {
  const ca = await createCa('lab', now);
  const base = { ca: ca.certificate, caKey: ca.key, now, validity: seconds(3600) };
  const serverRequest = await createCsr('registry');
  const clientRequest = await createCsr('alice');
  const issued = {
    server: must(
      await issueCertificate({
        ...base,
        csr: serverRequest.csr,
        identity: registry,
        name: 'registry',
        usage: 'both',
        dnsNames: ['localhost'],
        ipAddresses: ['127.0.0.1', '::1'],
      }),
    ),
    client: must(
      await issueCertificate({ ...base, csr: clientRequest.csr, identity: node, name: 'alice', usage: 'client' }),
    ),
  };
  const server = createServer({
    ca: ca.certificate,
    cert: pemOf(issued.server.certificate) + ca.certificate,
    key: serverRequest.key.reveal(),
    requestCert: true,
    rejectUnauthorized: true,
  });
  t.after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const client = connect({
    host: '127.0.0.1',
    port: address.port,
    ca: ca.certificate,
    cert: pemOf(issued.client.certificate),
    key: clientRequest.key.reveal(),
  });
  t.after(() => client.destroy());
  await once(client, 'secureConnect');
  const [peer] = await accepted;
  t.after(() => peer.destroy());
  assert.deepEqual(parseIdentity(peer.getPeerCertificate().raw), { ok: true, value: node });
  const chain = client.getPeerCertificate(true);
  assert.equal(fingerprint(chain.issuerCertificate.raw), fingerprint(ca.certificate));
});

function faultOf(result: ReturnType<typeof parseIdentity>): string {
  return result.ok ? 'none' : result.fault.code;
}
