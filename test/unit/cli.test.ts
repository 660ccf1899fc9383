import assert from 'node:assert/strict';
import test from 'node:test';
import { Metadata, status } from '@grpc/grpc-js';
import type { Cie, NhrpMessage } from '#proto/gen/dmwg/v1/nhrp.ts';
import { must } from '#proto/model/result.ts';
import { parseAddress } from '#proto/model/address.ts';
import { type DmvpnPeer, dmvpnPeers } from '#registry/cli/dmvpn.ts';
import { labelOf } from '#registry/cli/join.ts';
import { resolutionView } from '#registry/cli/resolve.ts';
import { rpcError } from '#registry/cli/rpc-error.ts';
import { statusText } from '#registry/cli/status.ts';
import { formatSpan, formatTable } from '#registry/cli/table.ts';
import type { NodeView } from '#registry/cli/views.ts';

test('columns are aligned, numbers to the right, and what a terminal would obey is not printed', () => {
  const table = formatTable<readonly [string, string]>(
    [
      { title: 'NAME', text: ([name]) => name },
      { title: 'N', text: ([, count]) => count, right: true },
    ],
    [
      ['spoke1', '7'],
      ['', '1200'],
      ['\u001b[2J\u009bx', '3'],
    ],
  );
  assert.equal(table, 'NAME       N\nspoke1     7\n-       1200\n?[2J?x     3\n');
});

test('spans are printed as routers do', () => {
  const spans = [0, 59.9, 3661, 86_399, 93_600, -5].map(formatSpan);
  assert.deepEqual(spans, ['00:00:00', '00:00:59', '01:01:01', '23:59:59', '1d02h', '00:00:00']);
});

test('a host name becomes a label', () => {
  const labels = ['Web_1.example.net', '--a--', 'x'.repeat(80), '...', 'straße'].map(labelOf);
  assert.deepEqual(labels, ['web-1', 'a', 'x'.repeat(63), '', 'stra-e']);
});

const node: NodeView = {
  id: '0123456789abcdef',
  name: 'spoke1',
  role: 'spoke',
  address: '10.100.0.2',
  address6: null,
  prefixes: [],
  policy: [],
  endpoints: [{ address: '192.168.7.1:51820', kind: 'claimed' }],
  registered: true,
  registeredAt: '2024-01-01T00:00:00.000Z',
  expiresIn: 10,
  nat: false,
  connected: true,
  tags: [],
  agentVersion: null,
  priority: null,
  cluster: null,
  draining: null,
};

test('states and attributes of show dmvpn', () => {
  const lines = (change: Partial<NodeView>): (string | number | null)[] => {
    const [peer] = dmvpnPeers([{ ...node, ...change }], [], Date.UTC(2024, 0, 1, 0, 1)) as [DmvpnPeer];
    return [peer.nbma, peer.state, peer.upDown, peer.attributes];
  };
  assert.deepEqual(lines({}), ['192.168.7.1:51820', 'UP', 60, 'D']);
  assert.deepEqual(lines({ role: 'hub' }), ['192.168.7.1:51820', 'UP', 60, 'S']);
  assert.deepEqual(lines({ nat: true, connected: false }), ['192.168.7.1:51820', 'NHRP', 60, 'DN']);
  const gone = { registered: false, connected: false, registeredAt: null, endpoints: [] };
  assert.deepEqual(lines(gone), [null, 'DOWN', null, 'I']);
});

test('what gRPC and TLS say becomes one line that says what to do', () => {
  const reached = { address: 'reg:7443', identity: 'certificate' } as const;
  const say = (code: status, details: string): string =>
    rpcError(Object.assign(new Error(details), { code, details, metadata: new Metadata() }), reached).message;
  const cases: readonly (readonly [status, string, RegExp])[] = [
    [
      status.UNAVAILABLE,
      'No connection established. Last error: connect ECONNREFUSED 1.2.3.4:1',
      /^nothing listens at reg:7443; start/,
    ],
    [status.UNAVAILABLE, 'getaddrinfo ENOTFOUND reg', /cannot be resolved/],
    [status.UNAVAILABLE, 'self-signed certificate in certificate chain', /of another CA/],
    [status.UNAVAILABLE, 'tlsv1 alert unknown ca:SSL alert number 48', /refused this certificate; .*: join again$/],
    [status.UNAVAILABLE, 'certificate has expired', /has expired, or this machine's clock is wrong$/],
    [status.UNAVAILABLE, 'odd\nwords', /^the registry at reg:7443 is not available: odd words$/],
    [status.DEADLINE_EXCEEDED, 'x', /did not answer within 15 s; check/],
    [status.UNAUTHENTICATED, 'this node was revoked', /does not accept this certificate: this node was revoked$/],
    [status.NOT_FOUND, 'no node "x"', /^no node "x"$/],
    [status.INTERNAL, '', /failed without saying why$/],
  ];
  for (const [code, details, expected] of cases) assert.match(say(code, details), expected);
});

test('a resolution without a usable reply is a refusal with its code', () => {
  const address = must(parseAddress('10.100.0.9'));
  const header = {
    addressFamily: 1,
    protocolType: 0x0800,
    hopCount: 16,
    requestId: 1,
    sourceNbma: '',
    sourceProtocolAddress: '0.0.0.0',
    destinationProtocolAddress: address,
    extensions: [],
  };
  const error = { code: 15, offset: 0, contents: Buffer.alloc(0) };
  const refused = resolutionView(address, { ...header, body: { $case: 'errorIndication', value: error } });
  assert.deepEqual([refused.code, refused.reason], [15, 'error indication: too many hops']);
  const flags = { router: false, authoritative: true, destinationStable: false, unique: true, sourceStable: false };
  const cie = { code: 0, mtu: 0, holdingTimeSeconds: 9, nbma: ['192.0.2.1:1'], protocolAddress: '', preference: 0 };
  const reply = (cies: Cie[]): NhrpMessage => {
    const value = { ...flags, cies, target: undefined };
    return { ...header, body: { $case: 'resolutionReply', value } };
  };
  assert.equal(resolutionView(address, reply([{ ...cie, prefixLength: 0xff }])).prefix, '10.100.0.9/32');
  assert.equal(resolutionView(address, reply([])).code, 12);
  assert.throws(() => resolutionView(address, undefined), /something else than a reply/);
});

test('the text of status needs the promised fields, and takes more', () => {
  const said = {
    node: 'hub1',
    role: 'hub',
    address: '10.100.0.1',
    registry: { connected: false },
    hubs: [],
    peers: [],
    shortcuts: [],
    other: 1,
  };
  assert.equal(
    statusText(said),
    'hub1: hub, 10.100.0.1\nregistry: not connected; tunnels go on without it\n\nNo peer yet.\n',
  );
  assert.throws(() => statusText({ ...said, hubs: [{}] }), /not understood at "hubs\.0\.node"/);
});
