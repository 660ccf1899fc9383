import assert from 'node:assert/strict';
import test from 'node:test';
import { formatAgentConfig, parseAgentConfig } from '#proto/codec/agent-config.ts';
import { parsePrefix } from '#proto/model/address.ts';
import { formatPrefixRule, matchesPrefixRule, parsePrefixRule } from '#proto/model/prefix-list.ts';
import { must } from '#proto/model/result.ts';
import { formatRouteProtocol, parseRouteProtocol, parseTable } from '#proto/model/routing.ts';

test('rules are read and written as routers do', () => {
  const rules = [
    '10.0.0.0/8',
    '10.0.0.0/8 ge 16',
    '10.0.0.0/8 le 24',
    '10.0.0.0/8 ge 16 le 24',
    '10.0.0.0/8 ge 32',
    '10.1.2.3/32',
    '0.0.0.0/0 le 32',
    'fd00::/8 ge 48 le 64',
  ];
  for (const text of rules) {
    const rule = must(parsePrefixRule(text));
    assert.deepEqual(must(parsePrefixRule(formatPrefixRule(rule))), rule, text);
  }
  assert.equal(formatPrefixRule(must(parsePrefixRule('10.0.0.0/8  ge 16   le 24'))), '10.0.0.0/8 ge 16 le 24');
  for (const wrong of [
    '10.0.0.0/8 ge 7',
    '10.0.0.0/8 ge 24 le 16',
    '10.0.0.0/8 le 33',
    '10.0.0.1/8',
    '',
    '10.0.0.0/8 le',
  ]) {
    assert.ok(!parsePrefixRule(wrong).ok, wrong);
  }
});

test('a rule matches what is inside and of its lengths', () => {
  const matches = (rule: string, prefix: string): boolean =>
    matchesPrefixRule(must(parsePrefixRule(rule)), must(parsePrefix(prefix)));
  assert.ok(matches('10.0.0.0/8', '10.0.0.0/8'));
  assert.ok(!matches('10.0.0.0/8', '10.1.0.0/16'));
  assert.ok(matches('10.0.0.0/8 ge 16', '10.1.2.3/32'));
  assert.ok(!matches('10.0.0.0/8 ge 16', '10.0.0.0/8'));
  assert.ok(matches('10.0.0.0/8 le 24', '10.0.0.0/8'));
  assert.ok(!matches('10.0.0.0/8 le 24', '10.1.2.0/25'));
  assert.ok(!matches('10.0.0.0/8 le 24', '11.1.2.0/24'));
  assert.ok(!matches('0.0.0.0/0 le 32', 'fd00::/8'));
});

test('protocols and tables of the kernel', () => {
  assert.equal(must(parseRouteProtocol('ospf')), 188);
  assert.equal(must(parseRouteProtocol('200')), 200);
  assert.equal(formatRouteProtocol(188), 'ospf');
  assert.equal(formatRouteProtocol(200), '200');
  assert.ok(!parseRouteProtocol('0').ok && !parseRouteProtocol('256').ok && !parseRouteProtocol('opsf').ok);
  assert.equal(must(parseTable('main')), 254);
  assert.ok(!parseTable('255').ok && !parseTable('0').ok && !parseTable('local').ok);
});

const head =
  'version: 1\noverlay: lab\nnode: {id: "0123456789abcdef", name: a, role: spoke, address: 10.0.0.2}\nregistry: ["r:1"]\n';

test('the routing section: what is written is read again, and every fault has its path', () => {
  const text = `${head}routing:
  table: 100
  metric: 70
  connected: [eth1]
  site: [paris-b]
  masquerade: true
  static: [10.1.0.0/16, {prefix: 10.2.0.0/16, preference: 200}]
  import:
    - {protocol: ospf, interface: eth1, prefixes: [10.0.0.0/8 ge 16], except: [10.77.0.0/16 le 32], metric: [1, 20]}
    - {table: 7}
`;
  const config = must(parseAgentConfig(text));
  assert.equal(config.routing.distance, 210);
  assert.deepEqual(must(parseAgentConfig(formatAgentConfig(config))), config);
  const wrong = `${head}routing:
  metric: 0
  limit: 5000
  static: [0.0.0.0/0]
  import: [{protocol: opsf}, {prefixes: [10.0.0.0/8 le 7]}, {interface: "a b"}, {colour: red}]
`;
  const parsed = parseAgentConfig(wrong);
  assert.ok(!parsed.ok);
  const places = ['metric', 'limit', 'static[0]', 'import[0].protocol', 'import[1].prefixes[0]', 'import[2].interface'];
  for (const place of places)
    assert.ok(parsed.fault.message.includes(`routing.${place}`), `${place}: ${parsed.fault.message}`);
  assert.match(parsed.fault.message, /routing\.import\[3\]: unknown key colour/);
});
