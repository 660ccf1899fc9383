import { type Address, lengthOf, networkOf, parseAddress, parsePrefix, type Prefix } from '#proto/model/address.ts';
import { parsePublicKey, type PublicKey } from '#proto/model/key.ts';
import { type NodeId, type NodeName, parseNodeId, parseNodeName } from '#proto/model/names.ts';
import { fail, ok, type Result } from '#proto/model/result.ts';
import type { Key, Put } from './port.ts';

/** All keys of one overlay begin with this. The version counts layouts of keys, not of records. */
export function overlayRoot(overlay: string): string {
  return `/dmwg/v1/${encodeURIComponent(overlay)}/`;
}

/** Beside the overlay's root, as no replica mirrors what is there: which node was told what. */
export function toldRoot(overlay: string): string {
  return `/dmwg/told/v1/${encodeURIComponent(overlay)}/`;
}

/** The first key after all that begin with `root`, which ends with "/". */
export function prefixEnd(root: string): string {
  return `${root.slice(0, -1)}0`;
}

/**
 * The key below the overlay's root. A prefix is written with "_" for "/", a public key as base64url, so that every key
 * has as many segments as its kind has.
 */
export function keyText(key: Key): string {
  switch (key.kind) {
    case 'overlay':
      return 'overlay';
    case 'node':
      return `nodes/${key.id}`;
    case 'binding':
      return `bindings/${key.id}`;
    case 'token':
      return `tokens/${encodeURIComponent(key.id)}`;
    case 'revocation':
      return `revoked/${key.id}`;
    case 'clear':
      return `clears/${encodeURIComponent(key.id)}`;
    case 'session':
      return `sessions/${key.id}`;
    case 'replica':
      return `replicas/${encodeURIComponent(key.id)}`;
    case 'claim-name':
      return `claims/name/${key.name}`;
    case 'claim-address':
      return `claims/address/${key.address}`;
    case 'claim-prefix':
      return `claims/prefix/${networkOf(key.prefix)}_${String(lengthOf(key.prefix))}`;
    case 'claim-key':
      return `claims/key/${key.publicKey.replaceAll('+', '-').replaceAll('/', '_').replace('=', '')}`;
  }
}

/** The inverse of keyText. Only what keyText writes is accepted. Fault: "bad-store-key". */
export function parseKeyText(text: string): Result<Key> {
  const key = readKey(text);
  return key !== undefined && keyText(key) === text
    ? ok(key)
    : fail('bad-store-key', `"${text.slice(0, 128)}" is not a key of dmwg`);
}

/** The key under which a record is stored. */
export function keyOf(put: Put): Key {
  switch (put.kind) {
    case 'overlay':
      return { kind: 'overlay' };
    case 'node':
      return { kind: 'node', id: put.record.id };
    case 'binding':
      return { kind: 'binding', id: put.record.node };
    case 'revocation':
    case 'session':
      return { kind: put.kind, id: put.record.node };
    case 'token':
    case 'clear':
    case 'replica':
      return { kind: put.kind, id: put.record.id };
    case 'claim-name':
      return { kind: 'claim-name', name: put.name };
    case 'claim-address':
      return { kind: 'claim-address', address: put.address };
    case 'claim-prefix':
      return { kind: 'claim-prefix', prefix: put.prefix };
    case 'claim-key':
      return { kind: 'claim-key', publicKey: put.publicKey };
  }
}

/** How a key is named to a person: "address 10.0.0.1", "node 0123456789abcdef". */
export function describeKey(key: Key): string {
  switch (key.kind) {
    case 'overlay':
      return 'the overlay';
    case 'claim-name':
      return `name ${key.name}`;
    case 'claim-address':
      return `address ${key.address}`;
    case 'claim-prefix':
      return `prefix ${key.prefix}`;
    case 'claim-key':
      return `public key ${key.publicKey}`;
    default:
      return `${key.kind} ${key.id}`;
  }
}

function readKey(text: string): Key | undefined {
  const [folder, first, second] = text.split('/');
  if (text === 'overlay') return { kind: 'overlay' };
  if (folder === undefined || first === undefined) return undefined;
  switch (folder) {
    case 'nodes':
      return withNode('node', first);
    case 'bindings':
      return withNode('binding', first);
    case 'revoked':
      return withNode('revocation', first);
    case 'sessions':
      return withNode('session', first);
    case 'tokens':
      return withText('token', first);
    case 'clears':
      return withText('clear', first);
    case 'replicas':
      return withText('replica', first);
    case 'claims':
      return second === undefined ? undefined : readClaim(first, second);
    default:
      return undefined;
  }
}

function withNode(kind: 'node' | 'binding' | 'revocation' | 'session', text: string): Key | undefined {
  const id: NodeId | undefined = valueOf(parseNodeId(text));
  return id === undefined ? undefined : { kind, id };
}

function withText(kind: 'token' | 'clear' | 'replica', text: string): Key | undefined {
  try {
    return { kind, id: decodeURIComponent(text) };
  } catch {
    return undefined;
  }
}

function readClaim(what: string, text: string): Key | undefined {
  switch (what) {
    case 'name': {
      const name: NodeName | undefined = valueOf(parseNodeName(text));
      return name === undefined ? undefined : { kind: 'claim-name', name };
    }
    case 'address': {
      const address: Address | undefined = valueOf(parseAddress(text));
      return address === undefined ? undefined : { kind: 'claim-address', address };
    }
    case 'prefix': {
      const prefix: Prefix | undefined = valueOf(parsePrefix(text.replace('_', '/')));
      return prefix === undefined ? undefined : { kind: 'claim-prefix', prefix };
    }
    case 'key': {
      const base64 = `${text.replaceAll('-', '+').replaceAll('_', '/')}=`;
      const publicKey: PublicKey | undefined = valueOf(parsePublicKey(base64));
      return publicKey === undefined ? undefined : { kind: 'claim-key', publicKey };
    }
    default:
      return undefined;
  }
}

function valueOf<T>(result: Result<T>): T | undefined {
  return result.ok ? result.value : undefined;
}
