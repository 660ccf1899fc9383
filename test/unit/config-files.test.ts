import assert from 'node:assert/strict';
import test from 'node:test';
import { inspect } from 'node:util';
import { formatAgentConfig, parseAgentConfig } from '#proto/codec/agent-config.ts';
import { formatJoinToken, parseJoinToken } from '#proto/codec/join-token.ts';
import { formatProfile, parseProfile } from '#proto/codec/profile.ts';
import { formatRegistryConfig, parseRegistryConfig } from '#proto/codec/registry-config.ts';
import { createCa } from '#proto/kit/certificate.ts';
import { Secret } from '#proto/kit/secret.ts';
import { must, type Result } from '#proto/model/result.ts';
import type { Timestamp } from '#proto/model/time.ts';

const agent = `version: 1
overlay: lab
node: {id: 0123456789abcdef, name: alice, role: spoke, address: 10.0.0.2, prefixes: [192.168.7.0/24]}
registry: [registry.example.net:7443, "[2001:DB8::1]:7443"]
`;

const registry = `version: 1
overlay: lab
registryAddress: 192.0.2.1:7443
pool: 10.0.0.0/16
linkPrefix: fd00:1:2:3::/64
`;

function faultOf(result: Result<unknown>): string {
  return result.ok ? 'none' : result.fault.message;
}

test('agent.yaml: defaults, and what is written is read again', () => {
  const config = must(parseAgentConfig(agent));
  assert.equal(config.node.address6, undefined);
  assert.equal(config.logLevel, 'info');
  assert.deepEqual(config.registry, ['registry.example.net:7443', '[2001:db8::1]:7443']);
  assert.deepEqual(parseAgentConfig(formatAgentConfig(config)), { ok: true, value: config });
});

test('agent.yaml: an id of digits alone is written so that it stays text', () => {
  const config = must(parseAgentConfig(agent.replace('0123456789abcdef', '"1234567890123456"')));
  assert.equal(must(parseAgentConfig(formatAgentConfig(config))).node.id, '1234567890123456');
  const exponent = must(parseAgentConfig(agent.replace('0123456789abcdef', '"12345678901234e5"')));
  assert.equal(must(parseAgentConfig(formatAgentConfig(exponent))).node.id, '12345678901234e5');
});

test('agent.yaml: every fault at once, with its path', () => {
  const wrong = `version: 2
overlay: lab
node: {id: x, name: alice, role: boss, address: 10.0.0.300, prefixes: [10.0.0.1/8], color: red}
registry: []
mtu: 99999
surprise: 1
`;
  const fault = faultOf(parseAgentConfig(wrong));
  const expected = [
    'version: ',
    'node.id: ',
    'node.role: ',
    'node.address: ',
    'node.prefixes[0]: ',
    'registry: ',
    'mtu: ',
  ];
  for (const path of expected) assert.ok(fault.includes(path), `${path} in ${fault}`);
  assert.match(fault, /node: unknown key color/);
  assert.match(fault, /the file: unknown key surprise/);
  assert.match(
    faultOf(parseAgentConfig('version: 1\n')),
    /overlay: is missing; node: is missing; registry: is missing/,
  );
  assert.match(faultOf(parseAgentConfig(agent.replace('spoke', 'hub'))), /endpoints: a hub needs/);
});

test('agent.yaml: uplinks and what makes a path poor', () => {
  const uplinks = 'uplinks: [{ interface: eth0 }, { name: lte, source: 192.0.2.7, gateway: 192.0.2.1, priority: 0 }]\n';
  const config = must(parseAgentConfig(`${agent}${uplinks}quality: { loss: 5, rtt: 400 }\n`));
  assert.deepEqual(
    config.uplinks.map(({ name, interface: device, source, gateway, priority }) => [
      name,
      device,
      source,
      gateway,
      priority,
    ]),
    [
      ['eth0', 'eth0', undefined, undefined, 0],
      ['lte', undefined, '192.0.2.7', '192.0.2.1', 0],
    ],
  );
  assert.deepEqual(config.quality, { loss: 5, rtt: 400 });
  assert.deepEqual(parseAgentConfig(formatAgentConfig(config)), { ok: true, value: config });
  const plain = must(parseAgentConfig(agent));
  assert.deepEqual([plain.uplinks, plain.quality], [[], { loss: 10, rtt: undefined }]);
  const off = must(parseAgentConfig(`${agent}quality: off\n`));
  assert.equal(off.quality, undefined);
  assert.deepEqual(parseAgentConfig(formatAgentConfig(off)), { ok: true, value: off });
  const wrong = (text: string): string => faultOf(parseAgentConfig(`${agent}${text}\n`));
  assert.match(wrong('uplinks: [{ priority: 3 }]'), /uplinks\[0\]: needs an interface or a source address/);
  assert.match(wrong('uplinks: [{ interface: a }, { interface: a }]'), /uplinks: has two uplinks of one name/);
  assert.match(wrong('uplinks: [{ source: 192.0.2.7, gateway: "2001:db8::1" }]'), /different families/);
  assert.match(wrong('quality: { loss: 0 }'), /quality/);
});

test('agent.yaml: text that is not YAML, or dangerous YAML, is a fault', () => {
  assert.match(faultOf(parseAgentConfig('a: [')), /not YAML/);
  assert.match(faultOf(parseAgentConfig('a: &x [1]\nb: *x\n')), /not YAML/);
  assert.match(faultOf(parseAgentConfig('')), /the file: /);
  assert.match(faultOf(parseAgentConfig(`${agent}overlay: twice\n`)), /not YAML.*unique/);
});

test('registry.yaml: defaults, durations, and what is written is read again', () => {
  const config = must(parseRegistryConfig(registry));
  const { holdingTime, negativeHoldingTime, idleTimeout, bfdInterval, bfdMultiplier, mtu, phase, listen } = config;
  assert.deepEqual(
    { holdingTime, negativeHoldingTime, idleTimeout, bfdInterval, bfdMultiplier, mtu, phase, listen },
    {
      holdingTime: 7200,
      negativeHoldingTime: 30,
      idleTimeout: 300,
      bfdInterval: 250,
      bfdMultiplier: 3,
      mtu: 1420,
      phase: 3,
      listen: '0.0.0.0:7443',
    },
  );
  assert.deepEqual(parseRegistryConfig(formatRegistryConfig(config)), { ok: true, value: config });
  const tuned = must(parseRegistryConfig(`${registry}holdingTime: 2h\nidleTimeout: 15\nbfdInterval: 50ms\n`));
  assert.deepEqual([tuned.holdingTime, tuned.idleTimeout, tuned.bfdInterval], [7200, 15, 50]);
});

test('registry.yaml: faults', () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [registry.replace('10.0.0.0/16', '10.0.0.1/16'), /pool: .*host bits/],
    [registry.replace('10.0.0.0/16', '10.0.0.0/31'), /pool: .*too small/],
    [`${registry}pool6: 10.1.0.0/16\n`, /pool6: .*not an IPv6 prefix/],
    [registry.replace('/64', '/48'), /linkPrefix: /],
    [`${registry}phase: 4\n`, /phase: is not 1, 2 or 3/],
    [`${registry}bfdInterval: 300\n`, /bfdInterval: /],
    [`${registry}holdingTime: 20h\n`, /holdingTime: is a duration from 1s/],
    [`${registry}holdingTime: 300ms\n`, /holdingTime: /],
    [`${registry}etcd: ["127.0.0.1:2379"]\n`, /etcd\[0\]: .*http:/],
    [registry.replace('192.0.2.1:7443', '192.0.2.1'), /registryAddress: /],
  ];
  for (const [source, expected] of cases) assert.match(faultOf(parseRegistryConfig(source)), expected);
});

test('admin.yaml: what is written is read again, and the key does not print', async () => {
  const ca = await createCa('lab', Date.now() as Timestamp);
  const profile = {
    version: 1,
    registry: ['192.0.2.1:7443'],
    caCertificate: ca.certificate,
    certificate: ca.certificate,
    key: ca.key,
  } as const;
  const written = formatProfile(profile);
  assert.equal(String(written), '[secret]');
  const read = must(parseProfile(written.reveal()));
  assert.equal(read.key.reveal(), ca.key.reveal());
  assert.equal(read.certificate, ca.certificate);
  assert.doesNotMatch(inspect(read) + JSON.stringify(read), /PRIVATE/);
  assert.match(
    faultOf(parseProfile('version: 1\nregistry: [a:1]\ncaCertificate: x\ncertificate: y\nkey: z\n')),
    /key: is not/,
  );
});

test('a join token survives pasting, and a damaged one is refused', () => {
  const token = {
    registry: ['registry.example.net:7443', '[2001:db8::1]:7443'],
    caPin: 'ab'.repeat(32),
    id: '0123456789abcdef',
    secret: new Secret(new Uint8Array(32).fill(7)),
  };
  const text = formatJoinToken(token).reveal();
  const { secret, ...rest } = must(parseJoinToken(`  ${text.slice(0, 50)}\n${text.slice(50)}\n`));
  assert.deepEqual(rest, { registry: token.registry, caPin: token.caPin, id: token.id });
  assert.deepEqual(secret.reveal(), token.secret.reveal());
  for (let length = 6; length < text.length; length += 1) {
    assert.match(faultOf(parseJoinToken(text.slice(0, length))), /incomplete or damaged/);
  }
  assert.match(faultOf(parseJoinToken(`${text.slice(0, 20)}!${text.slice(21)}`)), /damaged/);
  assert.match(faultOf(parseJoinToken(`dmwg2.${text.slice(6)}`)), /newer dmwg/);
  assert.match(faultOf(parseJoinToken('hello')), /not a join token/);
});
