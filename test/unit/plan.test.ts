import assert from 'node:assert/strict';
import test from 'node:test';
import type { Change } from '#agent/decide/change.ts';
import { plan } from '#agent/decide/plan.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { parsePublicKey } from '#proto/model/key.ts';
import { must } from '#proto/model/result.ts';

const publicKey = must(parsePublicKey(Buffer.alloc(32, 1).toString('base64')));
const address = must(parsePrefix('10.0.0.1/32'));
const route = {
  prefix: must(parsePrefix('10.1.0.0/16')),
  interfaces: ['dmwg0'],
  source: undefined,
  metric: 0,
  table: 254,
};

test('what is new comes before what is old goes, and a thing before its use', () => {
  const changes: Change[] = [
    { kind: 'remove-firewall' },
    { kind: 'delete-interface', name: 'dmwg1' },
    { kind: 'remove-address', interface: 'dmwg0', address },
    { kind: 'remove-peer', interface: 'dmwg0', publicKey },
    { kind: 'remove-route', route },
    { kind: 'add-route', route },
    { kind: 'replace-route', from: route, to: route },
    { kind: 'add-address', interface: 'dmwg0', address },
    { kind: 'set-sysctl', name: 'net.ipv4.ip_forward', from: '0', to: '1' },
  ];
  assert.deepEqual(
    plan(changes).map((change) => change.kind),
    [
      'set-sysctl',
      'add-address',
      'replace-route',
      'add-route',
      'remove-route',
      'remove-peer',
      'remove-address',
      'delete-interface',
      'remove-firewall',
    ],
  );
});

test('changes of one kind keep their order', () => {
  const removals: Change[] = ['a0', 'c0', 'b0'].map((name) => ({ kind: 'delete-interface', name }));
  assert.deepEqual(plan(removals), removals);
});
