// state.json: what a restarted agent needs. Messages of the registry are kept in their own wire form, so that reading them
// back checks them like any message from the network.
import * as z from 'zod';
import { decodeNhrp, encodeNhrp } from '#proto/codec/nhrp.ts';
import { decodeRegistryMessage, encodeRegistryMessage } from '#proto/codec/session.ts';
import { NhrpMessage as WireNhrp, SessionResponse } from '#proto/gen/dmwg/v1/nhrp.ts';
import { errorText } from '#proto/kit/errors.ts';
import { parseEndpoint } from '#proto/model/endpoint.ts';
import { addressBits, familyOf, lengthOf, parsePrefix, type Prefix, prefixOf } from '#proto/model/address.ts';
import { type NodeId, parseNodeId } from '#proto/model/names.ts';
import { cieCode, defaultHopCount, type NhrpMessage, uniquePrefixLength } from '#proto/model/nhrp.ts';
import { fail, ok, parseAll, type Result } from '#proto/model/result.ts';
import type { LearnedRoute } from '#proto/model/route.ts';
import type { HubPeer, RegistryMessage } from '#proto/model/session.ts';
import { seconds } from '#proto/model/time.ts';
import type { Saved, SavedShortcut } from './decide/restore.ts';
import type { OwnInterface } from './decide/state.ts';
import type { StateFormat } from './io/state-file.ts';

/** Well below what a message may carry. */
const itemsInPiece = 1000;

const schema = z.object({
  interfacePrefix: z.string().regex(/^[a-z0-9]{1,10}$/),
  nextRequestId: z.int().min(0).max(0xffff_ffff),
  config: z.unknown().optional(),
  activeHub: z.string().optional(),
  tunnels: z.array(z.string()).default([]),
  interfaces: z.array(
    z.object({
      name: z.string().max(15),
      kind: z.enum(['multipoint', 'hub-tunnel', 'probe']),
      hub: z.string().optional(),
      uplink: z.string().optional(),
      listenPort: z.int().min(0).max(65_535),
    }),
  ),
  shortcuts: z.array(z.unknown()),
  /** In pieces, as they come over the network. */
  peers: z.array(z.unknown()).optional(),
  /** Likewise. */
  routes: z.array(z.unknown()).optional(),
  /** Where they were last. */
  registries: z.array(z.string()).default([]),
  carriers: z.array(z.tuple([z.string(), z.string()])).default([]),
  /** By which each tunnel leaves. */
  uplinks: z.array(z.tuple([z.string(), z.string()])).default([]),
});

type Stored = z.infer<typeof schema>;

export const savedStateFormat: StateFormat<Saved> = {
  version: 1,
  parse(content) {
    const parsed = schema.safeParse(content);
    if (!parsed.success) return fail('corrupt-state', z.prettifyError(parsed.error));
    try {
      return parse(parsed.data);
    } catch (error) {
      return fail('corrupt-state', errorText(error));
    }
  },
  format: (saved): Stored => ({
    registries: [...saved.registries],
    interfacePrefix: saved.interfacePrefix,
    nextRequestId: saved.nextRequestId,
    config: saved.config && storeMessage({ type: 'overlay-config', config: saved.config }),
    activeHub: saved.activeHub,
    tunnels: [...saved.tunnels],
    interfaces: saved.interfaces.map(({ publicKey: _, ...own }) => own),
    shortcuts: saved.shortcuts.map((shortcut) => WireNhrp.toJSON(encodeNhrp(asReply(shortcut)))),
    peers:
      saved.peers &&
      inPieces(saved.peers, (upsert) => ({ type: 'peer-sync', snapshot: true, upsert, remove: [], complete: true })),
    carriers: saved.carriers.map(([prefix, node]) => [prefix, node]),
    uplinks: saved.uplinks.map(([name, uplink]) => [name, uplink]),
    routes:
      saved.routes &&
      inPieces(saved.routes, (upsert) => ({ type: 'route-sync', snapshot: true, upsert, remove: [], complete: true })),
  }),
};

function parse(stored: Stored): Result<Saved> {
  const config = stored.config === undefined ? undefined : readMessage(stored.config, 'overlay-config');
  if (config && !config.ok) return config;
  const activeHub = stored.activeHub === undefined ? undefined : parseNodeId(stored.activeHub);
  if (activeHub && !activeHub.ok) return activeHub;
  const tunnels = parseAll(stored.tunnels, parseNodeId);
  if (!tunnels.ok) return tunnels;
  const registries = parseAll(stored.registries, parseEndpoint);
  if (!registries.ok) return registries;
  const peers: HubPeer[] = [];
  for (const piece of stored.peers ?? []) {
    const sync = readMessage(piece, 'peer-sync');
    if (!sync.ok) return sync;
    peers.push(...sync.value.upsert);
  }
  const routes: LearnedRoute[] = [];
  for (const piece of stored.routes ?? []) {
    const sync = readMessage(piece, 'route-sync');
    if (!sync.ok) return sync;
    routes.push(...sync.value.upsert);
  }
  const carriers: (readonly [Prefix, NodeId])[] = [];
  for (const [prefix, node] of stored.carriers) {
    const [what, who] = [parsePrefix(prefix), parseNodeId(node)];
    if (!what.ok) return what;
    if (!who.ok) return who;
    carriers.push([what.value, who.value]);
  }
  const shortcuts: SavedShortcut[] = [];
  for (const item of stored.shortcuts) {
    const shortcut = fromReply(item);
    if (!shortcut.ok) return shortcut;
    shortcuts.push(shortcut.value);
  }
  const interfaces: OwnInterface[] = [];
  for (const own of stored.interfaces) {
    const hub = own.hub === undefined ? undefined : parseNodeId(own.hub);
    if (hub && !hub.ok) return hub;
    interfaces.push({ ...own, hub: hub?.value, uplink: own.uplink, publicKey: undefined });
  }
  return ok({
    interfacePrefix: stored.interfacePrefix,
    nextRequestId: stored.nextRequestId,
    config: config?.value.config,
    activeHub: activeHub?.value,
    tunnels: tunnels.value,
    registries: registries.value,
    interfaces,
    shortcuts,
    peers: stored.peers && peers,
    routes: stored.routes && routes,
    carriers,
    uplinks: stored.uplinks,
  });
}

function inPieces<T>(items: readonly T[], message: (items: readonly T[]) => RegistryMessage): unknown[] {
  const pieces: unknown[] = [];
  for (let start = 0; start < items.length; start += itemsInPiece) {
    pieces.push(storeMessage(message(items.slice(start, start + itemsInPiece))));
  }
  return pieces;
}

function storeMessage(message: RegistryMessage): unknown {
  return SessionResponse.toJSON(encodeRegistryMessage(message));
}

function readMessage<T extends RegistryMessage['type']>(
  stored: unknown,
  type: T,
): Result<Extract<RegistryMessage, { type: T }>> {
  const decoded = decodeRegistryMessage(SessionResponse.fromJSON(stored));
  if (!decoded.ok) return decoded;
  if (decoded.value.type !== type) return fail('corrupt-state', `${type} expected, not ${decoded.value.type}`);
  return ok(decoded.value as Extract<RegistryMessage, { type: T }>);
}

/** A shortcut is kept as the Resolution Reply that could have brought it. */
function asReply({ prefix, type, source, destination, target }: SavedShortcut): NhrpMessage {
  const length = lengthOf(prefix);
  const cie = {
    code: cieCode.ok,
    prefixLength: length === addressBits(familyOf(prefix)) ? uniquePrefixLength : length,
    mtu: 0,
    holdingTime: seconds(0),
    nbma: [],
    protocolAddress: destination,
    preference: 0,
  };
  return {
    hopCount: defaultHopCount,
    requestId: 0,
    sourceNbma: undefined,
    source,
    destination,
    extensions: [],
    body: {
      type: 'resolution-reply',
      router: true,
      authoritative: type === 'dynamic',
      destinationStable: false,
      unique: false,
      sourceStable: true,
      cies: [cie],
      target,
    },
  };
}

function fromReply(stored: unknown): Result<SavedShortcut> {
  const decoded = decodeNhrp(WireNhrp.fromJSON(stored));
  if (!decoded.ok) return decoded;
  const { body, source, destination } = decoded.value;
  const cie = body.type === 'resolution-reply' ? body.cies[0] : undefined;
  if (body.type !== 'resolution-reply' || !cie || !body.target)
    return fail('corrupt-state', 'a shortcut is incomplete');
  const bits = addressBits(familyOf(destination));
  const length = cie.prefixLength === uniquePrefixLength ? bits : cie.prefixLength;
  const type = body.authoritative ? 'dynamic' : 'cached';
  return ok({ prefix: prefixOf(destination, length), type, source, destination, target: body.target });
}
