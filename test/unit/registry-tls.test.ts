import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import test from 'node:test';
import { createCsr, issueCertificate, pemOf } from '#proto/kit/certificate.ts';
import type { Clock } from '#proto/kit/clock.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { type KeyMaterial, RegistryCertificate } from '#registry/serve/tls.ts';
import { authority } from '#test/support/pki.ts';

const day = 86_400_000;

test('the certificate of the registry renews itself when a third of its life is left, for the same names', async () => {
  const start = Date.now();
  let date = start;
  const clock: Clock = { now: () => 0 as never, date: () => date as Timestamp };
  const ca = await authority('blue');
  const { csr, key } = await createCsr('registry');
  const issued = must(
    await issueCertificate({
      ca: ca.certificate,
      caKey: ca.key,
      csr,
      identity: { kind: 'registry', overlay: 'blue', name: 'registry' },
      name: 'registry',
      validity: seconds(30 * 86_400),
      usage: 'both',
      dnsNames: ['registry.example'],
      ipAddresses: ['192.0.2.1', '2001:db8::1'],
      now: clock.date(),
    }),
  );
  const saved: KeyMaterial[] = [];
  const certificate = new RegistryCertificate({
    ca,
    initial: { certificate: pemOf(issued.certificate) + ca.certificate, key },
    clock,
    save: (material) => {
      saved.push(material);
      return Promise.resolve();
    },
  });
  assert.equal(certificate.isDue(), false);
  date = start + 19 * day;
  assert.equal(certificate.isDue(), false);
  date = start + 21 * day;
  assert.equal(certificate.isDue(), true);
  await certificate.renew();
  assert.equal(certificate.isDue(), false);
  const [material] = saved;
  assert.ok(material);
  assert.equal(certificate.identity().certificate, material.certificate);
  const [old, renewed] = [new X509Certificate(issued.certificate), new X509Certificate(material.certificate)];
  assert.equal(renewed.subjectAltName, old.subjectAltName);
  assert.ok(renewed.verify(new X509Certificate(ca.certificate).publicKey));
  assert.notEqual(
    renewed.publicKey.export({ type: 'spki', format: 'pem' }),
    old.publicKey.export({ type: 'spki', format: 'pem' }),
  );
  assert.ok(material.certificate.endsWith(ca.certificate), 'the chain includes the CA');
});
