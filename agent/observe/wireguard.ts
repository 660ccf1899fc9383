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
  /** 0: none. */
  readonly mark: number;
  readonly peers: ReadonlyMap<PublicKey, PeerState>;
}

export interface PeerStatistics {
  readonly endpoint: Endpoint | undefined;
  /** Undefined = never. */
  readonly latestHandshake: Timestamp | undefined;
  readonly rxBytes: number;
  readonly txBytes: number;
}

/** A wireguard-go that works answers in a millisecond or two, one with 10,000 peers in 100. */
const deadline = 2000;

/** No answer: the program was killed, or says that it cannot look. */
export type Reading = DeviceState | 'unreadable';

/**
 * The named interfaces; those that are gone are left out. One `wg` each, in parallel: `wg show all` asks every wireguard-go
 * of the machine, those of other network namespaces too, and waits for ever if one of them hangs.
 */
export async function observeWireguard(run: Run, names: Iterable<string>): Promise<Map<string, Reading>> {
  const devices = new Map<string, Reading>();
  await Promise.all(
    [...names].map(async (name) => {
      const device = await observeDevice(run, name);
      if (device) devices.set(name, device);
    }),
  );
  return devices;
}

async function observeDevice(run: Run, name: string): Promise<Reading | undefined> {
  try {
    return parseDevice((await run('wg', ['show', name, 'dump'], { timeout: deadline })).stdout);
  } catch (error) {
    if (!(error instanceof ExecError)) throw error;
    if (isGone(error.stderr)) return undefined;
    if (error.timedOut || error.stderr.startsWith('Unable to access interface')) return 'unreadable';
    throw error;
  }
}

/** wg takes an interface without wireguard-go's socket for one of the kernel, which may know of no WireGuard. */
function isGone(stderr: string): boolean {
  return /^Unable to access interface[^:]*: (No such device|Protocol not supported)/.test(stderr);
}

/** The peers of one interface with their traffic. Throws an ExecError if there is no such interface. */
export async function observePeers(run: Run, name: string): Promise<Map<PublicKey, PeerStatistics>> {
  return parsePeerStatistics((await run('wg', ['show', name, 'dump'], { timeout: deadline })).stdout);
}

/** `dump`: of `wg show NAME dump`. The device has four fields on the first line, a peer eight. */
export function parseDevice(dump: string): DeviceState {
  const [device, ...others] = lines(dump);
  const publicKey = parsePublicKey(device?.[1] ?? '');
  const peers = new Map<PublicKey, PeerState>();
  for (const fields of others) {
    const peer = parsePeer(fields);
    if (peer) peers.set(peer.publicKey, peer);
  }
  return {
    publicKey: publicKey.ok ? publicKey.value : undefined,
    listenPort: Number(device?.[2] ?? 0),
    mark: markOf(device?.[3]),
    peers,
  };
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

function markOf(field: string | undefined): number {
  return field === undefined || field === 'off' ? 0 : Number(field);
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
