// What `dmwg show ... --format cisco|frr` prints, byte for byte: test/unit/golden/FORMAT-WHAT.txt. DMWG_GOLDEN=write writes them.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { cacheOf } from '#agent/decide/cache.ts';
import { cieCode, errorCode, type NhrpMessage } from '#proto/model/nhrp.ts';
import { NhrpCounter } from '#proto/model/nhrp-counters.ts';
import { agentView } from '#registry/cli/agent-view.ts';
import { ciscoCache, ciscoDmvpn, ciscoNhs, ciscoTraffic } from '#registry/cli/cisco.ts';
import { countersTable } from '#registry/cli/counters.ts';
import { dmvpnPeers } from '#registry/cli/dmvpn.ts';
import { frrCache, frrCounters, frrDmvpn, frrNhs, frrShortcuts } from '#registry/cli/frr.ts';
import { messageLine, messageView } from '#registry/cli/nhrp-line.ts';
import { agentCacheRows, type CacheRow, cacheRows, nhsRows, shortcutRows } from '#registry/cli/rows.ts';
import type { BindingView, NodeView } from '#registry/cli/views.ts';
import { directSpoke, other, reply } from '#test/support/agent-story.ts';
import { announcement, cie, message, multipoint, registration, resolution } from '#test/support/registry-fixtures.ts';

const now = Date.UTC(2026, 0, 31, 12, 0, 0);
const ago = (seconds: number): string => new Date(now - seconds * 1000).toISOString();

const hub: NodeView = {
  id: '00000000000000a1',
  name: 'hub1',
  role: 'hub',
  address: '10.100.0.1',
  address6: 'fd00:100::1',
  prefixes: ['172.20.0.0/16'],
  policy: [],
  endpoints: [{ address: '192.0.2.1:51820', kind: 'claimed' }],
  registered: true,
  registeredAt: ago(100_000),
  expiresIn: 7200,
  nat: false,
  connected: true,
  tags: [],
  agentVersion: '0.1.0',
  priority: 0,
  cluster: 0,
  draining: false,
};
const spoke: NodeView = {
  ...hub,
  id: '00000000000000b2',
  name: 'spoke1',
  role: 'spoke',
  address: '10.100.0.2',
  address6: null,
  prefixes: ['192.168.7.0/24'],
  endpoints: [
    { address: '192.168.7.1:38201', kind: 'claimed' },
    { address: '198.51.100.9:40000', kind: 'observed' },
  ],
  registeredAt: ago(622),
  expiresIn: 6578,
  nat: true,
  tags: ['branch'],
};
const nodes: readonly NodeView[] = [
  hub,
  spoke,
  {
    ...spoke,
    name: 'spoke2',
    address: '10.100.0.3',
    endpoints: [],
    registered: false,
    connected: false,
    nat: false,
    registeredAt: null,
  },
];

function binding(node: NodeView, prefix: string, flags: readonly string[]): BindingView {
  const endpoints = [...node.endpoints].reverse().map(({ address }) => address);
  return {
    prefix,
    node: node.name,
    address: node.address,
    nbma: endpoints[0] ?? null,
    endpoints,
    type: 'dynamic',
    flags,
    created: node.registeredAt,
    expiresIn: node.expiresIn,
  };
}

const bindings = [
  binding(hub, '10.100.0.1/32', ['unique', 'registered', 'used']),
  binding(hub, 'fd00:100::1/128', ['unique', 'registered', 'used']),
  binding(hub, '172.20.0.0/16', ['registered', 'used']),
  binding(spoke, '10.100.0.2/32', ['unique', 'registered', 'nat']),
  binding(spoke, '192.168.7.0/24', ['registered', 'nat']),
];

const status = agentView({
  node: 'spoke1',
  role: 'spoke',
  registry: {
    connected: true,
    endpoint: '192.0.2.9:7443',
    servers: [
      { address: '192.0.2.8:7443', priority: 0, cluster: 0, state: 'probe', age: null },
      { address: '192.0.2.9:7443', priority: 10, cluster: 1, state: 'up', age: 3600 },
      { address: 'registry.example.net:7443', priority: null, cluster: null, state: 'down', age: null },
    ],
  },
  hubs: [
    {
      node: 'hub2',
      address: '10.100.0.11',
      priority: 10,
      cluster: 1,
      state: 'probe',
      active: false,
      interface: 'dmwg-h2',
      endpoint: '192.0.2.2:51820',
    },
    {
      node: 'hub1',
      address: '10.100.0.1',
      priority: 0,
      state: 'up',
      active: true,
      rttMs: 1.5,
      interface: 'dmwg-h1',
      endpoint: '192.0.2.1:51820',
    },
    {
      node: 'hub3',
      address: '10.100.0.12',
      priority: 20,
      state: 'down',
      active: false,
      interface: 'dmwg-h3',
      endpoint: null,
    },
  ],
  peers: [],
  shortcuts: [
    {
      prefix: '192.168.8.0/24',
      node: 'spoke2',
      address: '10.100.0.3',
      endpoint: '203.0.113.7:51820',
      interface: 'dmwg0',
      nat: true,
      age: 65,
      expiresIn: 7135,
    },
    {
      prefix: '10.100.0.4/32',
      node: 'spoke3',
      address: '10.100.0.4',
      endpoint: null,
      interface: 'dmwg0',
      nat: false,
      age: 5,
      expiresIn: 60,
    },
  ],
});

/** Of a spoke that knows one of each kind. */
function spokeCache(): readonly CacheRow[] {
  const story = directSpoke();
  const destination = '192.168.3.7' as never;
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination: '10.9.0.13' as never });
  const [asked] = story.sent('resolution-request').slice(-1);
  reply(story, asked?.requestId ?? 0, undefined, cieCode.noBinding);
  story.hear({ type: 'traffic-indication', contents: new Uint8Array() }, { destination });
  const flags = { router: true, authoritativeOnly: true, unique: false, sourceStable: true };
  const target = { ...other, prefixes: [] };
  const body = { type: 'resolution-request', ...flags, cies: [cie({ prefixLength: 24 })], target } as const;
  story.hear(body, { source: '192.168.2.9' as never, destination: '10.9.0.10' as never });
  const endpoints = new Map([[other.publicKey, '198.51.100.7:20001' as never]]);
  const cache = cacheOf(story.state, endpoints, story.now as never);
  return agentCacheRows(agentView(JSON.parse(JSON.stringify({ ...status, cache }))));
}

const refusal = message('10.100.0.1', '10.100.0.9', {
  type: 'resolution-reply',
  router: true,
  authoritative: true,
  destinationStable: false,
  unique: false,
  sourceStable: true,
  cies: [cie({ code: cieCode.noBinding, holdingTime: 0 as never })],
  target: undefined,
});
const error = message('10.100.0.1', '10.100.0.2', {
  type: 'error-indication',
  code: errorCode.invalidReply,
  offset: 0,
  contents: new Uint8Array(),
});
const request = registration('10.100.0.2', [multipoint('b')]);
const received: readonly NhrpMessage[] = [request, request, resolution('10.100.0.2', '10.100.0.9')];
const sent: readonly NhrpMessage[] = [refusal, refusal, error];
const counter = new NhrpCounter();
for (const one of received) counter.add('received', one);
for (const one of sent) counter.add('sent', one);
const counters = counter.read();

const rows = cacheRows(bindings, nodes, 'lab', now);
const peers = dmvpnPeers(nodes, bindings, now);
const lines = [
  { direction: 'received', node: 'spoke1', message: request },
  { direction: 'received', node: 'spoke1', message: announcement('10.100.0.2', ['192.168.7.0/24', '192.168.8.0/24']) },
  {
    direction: 'received',
    node: 'spoke1',
    message: resolution('10.100.0.2', '10.100.0.9', { cies: [cie({ nbma: ['198.51.100.9:40000' as never] })] }),
  },
  { direction: 'sent', node: 'spoke1', message: refusal },
  { direction: 'sent', node: 'spoke1', message: error },
] as const;

const printed: Readonly<Record<string, string>> = {
  'cisco-nhrp': ciscoCache(rows),
  'cisco-nhs': ciscoNhs(nhsRows(status)),
  'cisco-dmvpn': ciscoDmvpn(peers, 'lab'),
  'cisco-shortcuts': ciscoCache(shortcutRows(status)),
  'cisco-cache': ciscoCache(spokeCache()),
  'cisco-counters': ciscoTraffic('Registry', counters),
  'frr-nhrp': frrCache(rows),
  'frr-nhs': frrNhs(nhsRows(status)),
  'frr-dmvpn': frrDmvpn(peers),
  'frr-shortcuts': frrShortcuts(shortcutRows(status)),
  'frr-cache': frrCache(spokeCache()),
  'frr-counters': frrCounters('Registry', counters),
  'table-counters': countersTable(counters),
  'debug-nhrp': lines.map((one) => messageLine(messageView({ time: ago(0), ...one }))).join(''),
};

for (const [name, text] of Object.entries(printed)) {
  test(`${name} is printed as in its golden file`, () => {
    const path = join(import.meta.dirname, 'golden', `${name}.txt`);
    if (process.env['DMWG_GOLDEN'] === 'write') writeFileSync(path, text);
    assert.equal(text, readFileSync(path, 'utf8'));
  });
}

test('without entries', () => {
  assert.deepEqual([frrCache([]), frrNhs([]), frrShortcuts([])], Array(3).fill('% No entries\n'));
  assert.equal(ciscoCache([]), '');
  assert.match(ciscoNhs([]), /^Legend: .*\n$/);
  assert.match(ciscoDmvpn([], 'lab'), /NHRP Peers:0,/);
});

test('what a terminal would obey is not printed', () => {
  const row = { ...rows[0], node: '\u001b[2J', group: '\u009b\nx' } as (typeof rows)[number];
  assert.doesNotMatch(ciscoCache([row]) + frrCache([row]), /[^\x20-\x7e\n]/);
});

test('a message as data for scripts', () => {
  const view = messageView({ time: ago(0), direction: 'sent', node: 'spoke1', message: refusal });
  assert.deepEqual(view, {
    time: '2026-01-31T12:00:00.000Z',
    direction: 'sent',
    node: 'spoke1',
    type: 'resolution-reply',
    requestId: 7,
    source: '10.100.0.1',
    destination: '10.100.0.9',
    hopCount: 16,
    sourceNbma: null,
    flags: ['router', 'authoritative', 'source-stable'],
    error: null,
    cies: [{ code: 12, prefix: '10.100.0.9/32', holdingTime: 0, mtu: 1420, nbma: [], preference: 0 }],
    target: null,
    extensions: [],
  });
});
