// What WireGuard knows, from `wg show ... dump`. Private and preshared keys are on those lines; they are never kept.
import { parsePrefix, type Prefix } from '#proto/model/address.ts';
import { type Endpoint, parseEndpoint } from '#proto/model/endpoint.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { type Seconds, seconds, type Timestamp } from '#proto/model/time.ts';
import type { PeerState } from '#agent/decide/host.ts';
import { ExecError, type Run } from '#agent/io/host-port.ts';

export interface DeviceState {
  readonly publicKey: PublicKey | undefined;
  readonly listenPort: number;
  readonly peers: ReadonlyMap<PublicKey, PeerState>;
}

export interface PeerStatistics {
  readonly endpoint: Endpoint | undefined;
  /** Undefined = never. */
  readonly latestHandshake: Timestamp | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** Every WireGuard interface that wg can reach, by name; foreign ones, too. */
export async function observeWireguard(run: Run): Promise<Map<string, DeviceState>> {
  try {
    return parseDevices((await run('wg', ['show', 'all', 'dump'])).stdout);
  } catch (error) {
    // Every interface that wg listed was gone when it looked.
    if (error instanceof ExecError && error.stderr.startsWith('Unable to access interface')) return new Map();
    throw error;
  }
}

/** The peers of one interface with their traffic. Throws an ExecError if there is no such interface. */
export async function observePeers(run: Run, name: string): Promise<Map<PublicKey, PeerStatistics>> {
  return parsePeerStatistics((await run('wg', ['show', name, 'dump'])).stdout);
}

/** `dump`: of `wg show all dump`. A device has five fields a line, a peer nine. */
export function parseDevices(dump: string): Map<string, DeviceState> {
  const devices = new Map<string, DeviceState & { readonly peers: Map<PublicKey, PeerState> }>();
  for (const [name, ...fields] of lines(dump)) {
    if (name === undefined) continue;
    if (fields.length === 4) {
      const publicKey = parsePublicKey(fields[1] ?? '');
      devices.set(name, {
        publicKey: publicKey.ok ? publicKey.value : undefined,
        listenPort: Number(fields[2]),
        peers: new Map(),
      });
      continue;
    }
    const peer = parsePeer(fields);
    if (peer) devices.get(name)?.peers.set(peer.publicKey, peer);
  }
  return devices;
}

/** `dump`: of `wg show NAME dump`. */
export function parsePeerStatistics(dump: string): Map<PublicKey, PeerStatistics> {
  const peers = new Map<PublicKey, PeerStatistics>();
  for (const [key, , endpoint, , handshake, rx, tx, keepalive] of lines(dump)) {
    const publicKey = parsePublicKey(key ?? '');
    if (keepalive === undefined || !publicKey.ok) continue;
    const latest = Number(handshake) * 1000;
    peers.set(publicKey.value, {
      endpoint: endpointOrNone(endpoint),
      latestHandshake: latest > 0 ? (latest as Timestamp) : undefined,
      rxBytes: Number(rx),
      txBytes: Number(tx),
    });
  }
  return peers;
}

function parsePeer(fields: readonly string[]): PeerState | undefined {
  const [key, , endpoint, allowed, , , , keepalive] = fields;
  const publicKey = parsePublicKey(key ?? '');
  if (keepalive === undefined || !publicKey.ok) return undefined;
  return {
    publicKey: publicKey.value,
    endpoint: endpointOrNone(endpoint),
    allowedIps: prefixes(allowed ?? ''),
    keepalive: keepaliveOf(keepalive),
  };
}

function lines(dump: string): string[][] {
  return dump
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

function prefixes(field: string): Set<Prefix> {
  const found = new Set<Prefix>();
  for (const item of field.split(',')) {
    const prefix = parsePrefix(item);
    if (prefix.ok) found.add(prefix.value);
  }
  return found;
}

function endpointOrNone(field: string | undefined): Endpoint | undefined {
  const endpoint = parseEndpoint(field ?? '');
  return endpoint.ok ? endpoint.value : undefined;
}

function keepaliveOf(field: string): Seconds {
  return seconds(field === 'off' ? 0 : Number(field));
}
