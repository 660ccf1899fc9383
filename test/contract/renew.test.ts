import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { renewalMoment, renewWhenDue } from '#agent/io/renew.ts';
import { parseAgentConfig } from '#proto/codec/agent-config.ts';
import { certificateExpiry, derOf, issueCertificate } from '#proto/kit/certificate.ts';
import { systemClock } from '#proto/kit/clock.ts';
import type { ClientIdentity } from '#proto/kit/registry-credentials.ts';
import { must } from '#proto/model/result.ts';
import { seconds, type Timestamp } from '#proto/model/time.ts';
import { startFakeRegistry } from '#test/support/fake-registry.ts';
import { logLines } from '#test/support/log-lines.ts';
import { authority, issueNode, issueRegistry, nodeId } from '#test/support/pki.ts';
import { until } from '#test/support/poll.ts';

test('a certificate is due at two thirds of its lifetime', () => {
  const validity = { from: 1000 as Timestamp, until: 4000 as Timestamp };
  assert.equal(renewalMoment(validity, 0), 3000);
  assert.equal(renewalMoment(validity, 1), 3150);
});

test('a due certificate is renewed with the same key, saved, and given to the session, after a failure too', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'dmwg-renew-'));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const ca = await authority();
  const now = Date.now() as Timestamp;
  // Of its lifetime, which starts 90 s before, two thirds are over.
  const old = await issueNode(ca, { now: (now - 60_000) as Timestamp, validity: seconds(90) });
  let asked = 0;
  const registry = await startFakeRegistry(await issueRegistry(ca), {
    onRenew: async ({ csr }) => {
      asked += 1;
      if (asked === 1) throw new Error('not now');
      const identity = { kind: 'node', overlay: 'lab', id: nodeId } as const;
      const options = { ca: ca.certificate, caKey: ca.key, csr, identity, name: 'alice', usage: 'client' } as const;
      const issued = must(await issueCertificate({ ...options, now, validity: seconds(86_400) }));
      return { certificate: Buffer.from(issued.certificate), certificateExpires: BigInt(issued.expires) / 1000n };
    },
  });
  t.after(() => {
    registry.stop();
  });
  const node = `{id: "${nodeId}", name: alice, role: spoke, address: 10.0.0.2}`;
  const config = must(
    parseAgentConfig(`version: 1\noverlay: lab\nnode: ${node}\nregistry: ["${registry.endpoint}"]\n`),
  );
  const given: ClientIdentity[] = [];
  const session = { replaceIdentity: (identity: ClientIdentity) => given.push(identity) };
  const { logger, lines } = logLines();
  const controller = new AbortController();
  const state = { dir, config, identity: old };
  const running = renewWhenDue({ state, session, clock: systemClock, random: () => 0, logger }, controller.signal);
  await until('renewed', () => given.length === 1, { within: 10_000, explain: () => JSON.stringify(lines) });
  controller.abort();
  await running;
  const [renewed] = given;
  assert.ok(renewed);
  assert.equal(renewed.key, old.key);
  assert.ok(certificateExpiry(renewed.certificate) > certificateExpiry(old.certificate));
  assert.deepEqual(derOf(await readFile(join(dir, 'node.crt'), 'utf8')), derOf(renewed.certificate));
  assert.deepEqual(
    lines.map((line) => line['msg']),
    ['certificate not renewed; trying again', 'certificate renewed'],
  );
});
